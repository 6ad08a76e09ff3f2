import { isId, keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import { Quote } from "../../contract/quote.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode, readRecord } from "../record.ts";

type Deps = { objects: ObjectStore; now: () => number; newId: () => string };

export type QuoteStore = ReturnType<typeof createQuoteStore>;

const sweepAtOnce = 10;

/** Quotes until they expire. Their ids begin with that time, so the oldest come first in a listing. */
export function createQuoteStore({ objects, now, newId }: Deps) {
  const idOf = (key: string): string => key.slice(key.lastIndexOf("/") + 1, -".json".length);
  const expiresMs = (id: string): number => Number(/^quote_(\d+)_/.exec(id)?.[1] ?? 0);

  /** Every new quote clears a few old ones away, so they never pile up. */
  async function removeExpired(tenant: string): Promise<void> {
    const oldest = await objects.list(keys.quotesOf(tenant), { limit: sweepAtOnce });
    await Promise.all(oldest.filter(({ key }) => expiresMs(idOf(key)) <= now()).map(({ key }) => objects.delete(key)));
  }

  return {
    async put(tenant: string, quote: Omit<Quote, "id" | "expires_ms">): Promise<Quote> {
      const expires_ms = now() + limits.quoteMs;
      const stored: Quote = { ...quote, id: `quote_${expires_ms}_${newId()}`, expires_ms };
      await objects.put(keys.quote(tenant, stored.id), encode(stored));
      await removeExpired(tenant);
      return stored;
    },

    /** Null if there is none, or if it has expired. */
    async get(tenant: string, id: string): Promise<Quote | null> {
      if (!isId(id) || expiresMs(id) <= now()) return null;
      return (await readRecord(objects, keys.quote(tenant, id), Quote))?.value ?? null;
    },
  };
}
