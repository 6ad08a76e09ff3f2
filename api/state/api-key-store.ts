import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { ApiKeyRecord, ApiKeyUse, type Scope } from "../contract/access.ts";
import { AppError } from "../contract/errors.ts";
import { keys } from "../contract/keys.ts";
import { listPages } from "./list-pages.ts";
import type { ObjectStore } from "./object-store.ts";
import { encode, readRecord } from "./record.ts";

export type ApiKey = ApiKeyRecord & { last_used_ms: number | null };

export type NewApiKey = {
  tenant: string;
  name: string;
  scopes: Scope[];
  expiresMs: number | null;
};

export type ApiKeyStore = ReturnType<typeof createApiKeyStore>;

/** `gnk_TENANT_ID_SECRET`. Neither tenant nor id holds an underscore. */
const KEY = /^gnk_([a-z0-9-]{1,63})_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;

/** What a presented key claims to be; null if it is none of ours. */
export function parseApiKey(key: string): { tenant: string; id: string; secret: string } | null {
  const [, tenant, id, secret] = KEY.exec(key) ?? [];
  return tenant === undefined || id === undefined || secret === undefined ? null : { tenant, id, secret };
}

/** Takes the same time whether the key exists and however much of the secret is right. */
export function isSecretOf(record: ApiKeyRecord | null, secret: string): boolean {
  const expected = Buffer.from(record?.secret_sha256 ?? "00".repeat(32), "hex");
  return timingSafeEqual(sha256(secret), expected) && record !== null;
}

/** API keys, hashed. Every method may throw AppError `unavailable`. */
export function createApiKeyStore({ objects, now }: { objects: ObjectStore; now: () => number }) {
  const read = (tenant: string, id: string) => readRecord(objects, keys.apiKey(tenant, id), ApiKeyRecord);

  async function lastUse({ tenant, id }: ApiKeyRecord): Promise<number | null> {
    return (await readRecord(objects, keys.apiKeyUse(tenant, id), ApiKeyUse))?.value.last_used_ms ?? null;
  }

  async function* everyKey(prefix: string): AsyncGenerator<string> {
    for await (const page of listPages(objects, prefix)) yield* page.map(({ key }) => key);
  }

  return {
    /** `key` is what the client sends, and cannot be had again. */
    async create({ tenant, name, scopes, expiresMs }: NewApiKey): Promise<{ key: string; record: ApiKey }> {
      const id = randomBytes(8).toString("hex");
      const secret = randomBytes(32).toString("base64url");
      const record: ApiKeyRecord = {
        id,
        tenant,
        name,
        scopes,
        secret_sha256: sha256(secret).toString("hex"),
        created_ms: now(),
        expires_ms: expiresMs,
        revoked_ms: null,
      };
      await objects.putIfAbsent(keys.apiKey(tenant, id), encode(record));
      return { key: `gnk_${tenant}_${id}_${secret}`, record: { ...record, last_used_ms: null } };
    },

    async find(tenant: string, id: string): Promise<ApiKeyRecord | null> {
      return (await read(tenant, id))?.value ?? null;
    },

    /** Of one tenant or of all, revoked ones too; the oldest first. */
    async list(tenant?: string): Promise<ApiKey[]> {
      const found: ApiKey[] = [];
      for await (const key of everyKey(keys.apiKeys(tenant))) {
        if (!key.endsWith("/key.json")) continue;
        const stored = await readRecord(objects, key, ApiKeyRecord);
        if (stored) found.push({ ...stored.value, last_used_ms: await lastUse(stored.value) });
      }
      return found.toSorted((a, b) => a.created_ms - b.created_ms);
    },

    /** Whether any key was ever made. Revoking the last one does not take this back, or it would open the service. */
    async any(): Promise<boolean> {
      return (await objects.list(keys.apiKeys(), { limit: 1 })).length > 0;
    },

    /** For good; a key that was revoked before stays as it is. Null if the tenant has no such key. */
    async revoke(tenant: string, id: string): Promise<ApiKey | null> {
      for (let tries = 0; tries < 8; tries++) {
        const stored = await read(tenant, id);
        if (stored === null) return null;
        const last_used_ms = await lastUse(stored.value);
        if (stored.value.revoked_ms !== null) return { ...stored.value, last_used_ms };
        const revoked = { ...stored.value, revoked_ms: now() };
        if ((await objects.compareAndSwap(keys.apiKey(tenant, id), stored.etag, encode(revoked))) !== null) {
          return { ...revoked, last_used_ms };
        }
      }
      throw new AppError("unavailable", `API key ${id} kept changing under its revocation`);
    },

    async recordUse({ tenant, id }: ApiKeyRecord): Promise<void> {
      await objects.put(keys.apiKeyUse(tenant, id), encode({ last_used_ms: now() } satisfies ApiKeyUse));
    },
  };
}

const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();
