import { z } from "zod";

/** Whose everything is where no API key is asked for. */
export const LOCAL_TENANT = "default";

/** One segment of an object key and of an API key: no separator of either. */
export const Tenant = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "must be 1 to 63 lower-case letters, digits and inner hyphens");

/**
 * `submit` writes, `read` reads, `admin` does both and manages the API keys of its tenant. `metrics` reads what is told
 * of all tenants together; it goes with no other, and only the command gives it.
 */
export const Scope = z.enum(["submit", "read", "admin", "metrics"]);
export type Scope = z.infer<typeof Scope>;

/** Who a request speaks for. */
export type Caller = {
  tenant: string;
  /** Id of the API key; null where none is asked for. */
  key: string | null;
  scopes: readonly Scope[];
};

export const mayDo = ({ scopes }: Caller, scope: Scope): boolean =>
  scopes.includes(scope) || (scope !== "metrics" && scopes.includes("admin"));

/** key.json of an API key. The secret itself is nowhere: it is shown once, when the key is made. */
export const ApiKeyRecord = z.object({
  id: z.string(),
  tenant: z.string(),
  name: z.string(),
  scopes: z.array(Scope),
  /** Hex. The secret is 32 random bytes, which nobody finds by trying: a slow hash would protect nothing more. */
  secret_sha256: z.string(),
  created_ms: z.int(),
  expires_ms: z.int().nullable(),
  revoked_ms: z.int().nullable(),
});
export type ApiKeyRecord = z.infer<typeof ApiKeyRecord>;

/** used.json beside it, apart so that use and revocation never contend. */
export const ApiKeyUse = z.object({ last_used_ms: z.int() });
export type ApiKeyUse = z.infer<typeof ApiKeyUse>;
