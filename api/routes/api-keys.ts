import { createRoute, z } from "@hono/zod-openapi";
import { ApiKey, ApiKeyList, CreateApiKey, NewApiKey } from "../contract/api-key.ts";
import { AppError } from "../contract/errors.ts";
import { isId } from "../contract/keys.ts";
import { mediaTypes } from "../http/media-types.ts";
import { createRouter, problemResponses } from "../http/router.ts";
import type { ApiKeyStore, ApiKey as StoredApiKey } from "../state/api-key-store.ts";

const postApiKey = createRoute({
  method: "post",
  path: "/v1/keys",
  summary: "Make an API key of the caller's tenant",
  middleware: mediaTypes("application/json"),
  request: { body: { required: true, content: { "application/json": { schema: CreateApiKey } } } },
  responses: {
    201: { description: "Made.", content: { "application/json": { schema: NewApiKey } } },
    ...problemResponses(400, 413, 415),
  },
});

const listApiKeys = createRoute({
  method: "get",
  path: "/v1/keys",
  summary: "The API keys of the caller's tenant, revoked ones too",
  responses: {
    200: { description: "The keys.", content: { "application/json": { schema: ApiKeyList } } },
    ...problemResponses(),
  },
});

const deleteApiKey = createRoute({
  method: "delete",
  path: "/v1/keys/{id}",
  summary: "Revoke an API key for good",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: { description: "It is revoked.", content: { "application/json": { schema: ApiKey } } },
    ...problemResponses(404, 409),
  },
});

type Deps = {
  apiKeys: ApiKeyStore;
  now: () => number;
  /** Who made and revoked which key goes into the log, whatever becomes of the keys. */
  log: { info(fields: object, message: string): void };
};

export const apiKeyRoutes = ({ apiKeys, now, log }: Deps) =>
  createRouter()
    .openapi(postApiKey, async (c) => {
      const { name, scopes, expires_in_seconds: seconds } = c.req.valid("json");
      const { tenant } = c.var.caller;
      const expiresMs = seconds === undefined ? null : now() + seconds * 1000;
      const { key, record } = await apiKeys.create({ tenant, name, scopes: [...new Set(scopes)], expiresMs });
      log.info({ tenant, key: c.var.caller.key, made: record.id, scopes: record.scopes }, "API key made");
      return c.json({ ...describeApiKey(record), key }, 201, { "Cache-Control": "no-store" });
    })
    .openapi(listApiKeys, async (c) => {
      const found = await apiKeys.list(c.var.caller.tenant);
      return c.json({ object: "list" as const, data: found.map(describeApiKey) }, 200);
    })
    .openapi(deleteApiKey, async (c) => {
      const { id } = c.req.valid("param");
      const { tenant, key } = c.var.caller;
      // A tenant that revoked its last admin key this way could not make another.
      if (id === key) {
        throw new AppError("own_key", "API key revokes itself", {
          detail:
            "This is the key that the request was sent with: revoke it with another, or by `npm run keys -- revoke`.",
        });
      }
      const revoked = isId(id) ? await apiKeys.revoke(tenant, id) : null;
      if (revoked === null) {
        throw new AppError("api_key_not_found", `no API key ${id}`, { detail: `There is no API key \`${id}\`.` });
      }
      log.info({ tenant, key, revoked: id }, "API key revoked");
      return c.json(describeApiKey(revoked), 200);
    });

function describeApiKey(key: StoredApiKey): ApiKey {
  const seconds = (ms: number | null) => (ms === null ? null : ms / 1000);
  return {
    object: "api_key",
    id: key.id,
    tenant: key.tenant,
    name: key.name,
    scopes: key.scopes,
    created_at: key.created_ms / 1000,
    last_used_at: seconds(key.last_used_ms),
    expires_at: seconds(key.expires_ms),
    revoked_at: seconds(key.revoked_ms),
  };
}
