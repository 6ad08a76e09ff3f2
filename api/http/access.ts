import { type ApiKeyRecord, type Caller, LOCAL_TENANT } from "../contract/access.ts";
import { AppError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import { type ApiKeyStore, isSecretOf, parseApiKey } from "../state/api-key-store.ts";

export type Access = {
  /** Who sends this Authorization header. Throws AppError `api_key_missing` or `api_key_invalid`. */
  authenticate(authorization: string | undefined): Promise<Caller>;
};

type Deps = {
  apiKeys: Pick<ApiKeyStore, "find" | "any" | "recordUse">;
  /** Only this machine reaches the service: as long as there is no key, none is asked for. */
  loopback: boolean;
  now: () => number;
  log: { error(fields: object, message: string): void };
};

/** All but API keys, of which the first is made by command (authorize.ts). */
const LOCAL_CALLER: Caller = { tenant: LOCAL_TENANT, key: null, scopes: ["admin", "metrics"] };
/** Records kept in memory; each is a few hundred bytes. */
const MAX_CACHED = 1_000;

export function createAccess({ apiKeys, loopback, now, log }: Deps): Access {
  const cache = new Map<string, { record: ApiKeyRecord; readMs: number; usedMs: number }>();
  let keyed = !loopback;
  let keyedReadMs = Number.NEGATIVE_INFINITY;

  /** A clock that was put back makes it old: nothing may hold until that time comes again. */
  const isWithin = (sinceMs: number, forMs: number): boolean => {
    const ageMs = now() - sinceMs;
    return ageMs >= 0 && ageMs < forMs;
  };

  async function asksForKey(): Promise<boolean> {
    if (!keyed && !isWithin(keyedReadMs, limits.apiKeyCacheMs)) {
      keyed = await apiKeys.any();
      keyedReadMs = now();
    }
    return keyed;
  }

  async function findRecord(tenant: string, id: string): Promise<ApiKeyRecord | null> {
    const cached = cache.get(id);
    if (cached?.record.tenant === tenant && isWithin(cached.readMs, limits.apiKeyCacheMs)) return cached.record;
    const record = await apiKeys.find(tenant, id);
    cache.delete(id);
    if (record === null) return null;
    if (cache.size >= MAX_CACHED) cache.delete(cache.keys().next().value ?? "");
    cache.set(id, { record, readMs: now(), usedMs: cached?.usedMs ?? Number.NEGATIVE_INFINITY });
    return record;
  }

  /** In the background: a request does not wait for it, and does not fail with it. */
  function recordUse(record: ApiKeyRecord): void {
    const cached = cache.get(record.id);
    if (cached === undefined || isWithin(cached.usedMs, limits.apiKeyUseMs)) return;
    cached.usedMs = now();
    apiKeys.recordUse(record).catch((error) => log.error({ err: error, key: record.id }, "last use not recorded"));
  }

  return {
    async authenticate(authorization) {
      if (authorization === undefined) {
        if (await asksForKey()) throw keyMissing();
        return LOCAL_CALLER;
      }
      const presented = parseApiKey(/^Bearer +(\S+) *$/i.exec(authorization)?.[1] ?? "");
      if (presented === null) {
        // Clients of OpenAI's API always send some key.
        if (await asksForKey()) throw keyInvalid("it is not one of this service");
        return LOCAL_CALLER;
      }
      const { tenant, id, secret } = presented;
      const record = await findRecord(tenant, id);
      if (!isSecretOf(record, secret) || record === null) throw keyInvalid("there is none like it");
      if (record.revoked_ms !== null) throw keyInvalid("it was revoked", id);
      if (record.expires_ms !== null && record.expires_ms <= now()) throw keyInvalid("it has expired", id);
      recordUse(record);
      return { tenant, key: id, scopes: record.scopes };
    },
  };
}

const keyMissing = (): AppError =>
  new AppError("api_key_missing", "no API key", {
    detail: "Send `Authorization: Bearer <API key>`; `npm run keys -- create` makes one.",
  });

/** `id` only of a key whose secret was right: others do not learn what there is. */
const keyInvalid = (why: string, id?: string): AppError =>
  new AppError("api_key_invalid", `API key ${id ?? ""} refused: ${why}`, {
    detail: `The API key is not valid: ${why}.`,
  });
