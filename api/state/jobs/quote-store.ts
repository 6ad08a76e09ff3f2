import { isId, keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import { Quote } from "../../contract/quote.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode, readRecord } from "../record.ts";

type Deps = { objects: ObjectStore; now: () => number; newId: () => string };

export type QuoteStore = ReturnType<typeof createQuoteStore>;

/** Every new quote clears a few old ones away, so that they pile up nowhere. */
const FEW = 10;
const PAGE = 1_000;

const idOf = (key: string): string => key.slice(key.lastIndexOf("/") + 1, -".json".length);
const expiresMs = (id: string): number => Number(/^quote_(\d+)_/.exec(id)?.[1] ?? 0);

/** Removes quotes of a tenant that have expired, the oldest first, of those there are `most` at most; how many. */
export async function removeExpiredQuotes(
  { objects, now }: Pick<Deps, "objects" | "now">,
  tenant: string,
  most = Number.POSITIVE_INFINITY,
): Promise<number> {
  const limit = Math.min(most, PAGE);
  for (let removed = 0; ; ) {
    const oldest = await objects.list(keys.quotesOf(tenant), { limit });
    const expired = oldest.filter(({ key }) => expiresMs(idOf(key)) <= now());
    await Promise.all(expired.map(({ key }) => objects.delete(key)));
    removed += expired.length;
    if (expired.length < limit || removed >= most) return removed;
  }
}

/** Quotes until they expire. Their ids begin with that time, so the oldest come first in a listing. */
export function createQuoteStore({ objects, now, newId }: Deps) {
  return {
    async put(tenant: string, quote: Omit<Quote, "id" | "expires_ms">): Promise<Quote> {
      const expires_ms = now() + limits.quoteMs;
      const stored: Quote = { ...quote, id: `quote_${expires_ms}_${newId()}`, expires_ms };
      await objects.put(keys.quote(tenant, stored.id), encode(stored));
      await removeExpiredQuotes({ objects, now }, tenant, FEW);
      return stored;
    },

    /** Null if there is none, or if it has expired. */
    async get(tenant: string, id: string): Promise<Quote | null> {
      if (!isId(id) || expiresMs(id) <= now()) return null;
      return (await readRecord(objects, keys.quote(tenant, id), Quote))?.value ?? null;
    },
  };
}
