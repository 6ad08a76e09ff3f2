import { AppError } from "../../contract/errors.ts";
import { keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import { type WebhookKey, WebhookKeyring } from "../../contract/webhook.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode, readRecord, type Stored } from "../record.ts";
import { newWebhookKey } from "./webhook-keys.ts";

type Deps = { objects: ObjectStore; now: () => number; newId: () => string };

export type WebhookKeyrings = ReturnType<typeof createWebhookKeyrings>;

/** The keys that sign a tenant's webhooks, made when they are first asked for. */
export function createWebhookKeyrings({ objects, now, newId }: Deps) {
  const newKey = () => newWebhookKey(`whkey_${newId()}`, now());

  async function open(tenant: string): Promise<Stored<WebhookKeyring>> {
    const key = keys.webhookKeyring(tenant);
    const stored = await readRecord(objects, key, WebhookKeyring);
    if (stored !== null) return stored;
    const value: WebhookKeyring = { version: 1, keys: [newKey()] };
    const etag = await objects.putIfAbsent(key, encode(value));
    if (etag !== null) return { value, etag };
    const first = await readRecord(objects, key, WebhookKeyring);
    if (first === null) throw new AppError("unavailable", `${key} was deleted while it was read`);
    return first;
  }

  const signing = (all: readonly WebhookKey[]): WebhookKey[] => {
    const nowMs = now();
    return all.filter(({ signs_until_ms }) => signs_until_ms === null || signs_until_ms > nowMs);
  };

  return {
    /** All keys that sign now, newest first; never none. */
    async signingKeys(tenant: string): Promise<WebhookKey[]> {
      return signing((await open(tenant)).value.keys);
    },

    /** A new key, beside which those before sign for `overlapMs` more. Throws AppError `too_many_webhook_keys`. */
    async rotate(tenant: string, overlapMs: number): Promise<WebhookKey[]> {
      for (;;) {
        const { value, etag } = await open(tenant);
        const until = now() + overlapMs;
        const older = value.keys.map((key) => ({
          ...key,
          signs_until_ms: Math.min(key.signs_until_ms ?? until, until),
        }));
        const rotated = [newKey(), ...signing(older)];
        if (rotated.length > limits.maxSigningKeys) throw tooManyKeys();
        const next: WebhookKeyring = { version: 1, keys: rotated };
        const swapped = await objects.compareAndSwap(keys.webhookKeyring(tenant), etag, encode(next));
        if (swapped !== null) return rotated;
      }
    },
  };
}

function tooManyKeys(): AppError {
  return new AppError("too_many_webhook_keys", "too many webhook keys overlap", {
    detail:
      `${limits.maxSigningKeys} keys sign already. Wait until one has ended, ` +
      "or rotate with an `overlap_seconds` of 0, which ends all of them.",
    field: "overlap_seconds",
  });
}
