import { createRoute, z } from "@hono/zod-openapi";
import { AppError } from "../contract/errors.ts";
import {
  BatchWebhookPayload,
  DisabledWebhooks,
  RotateWebhookKeys,
  type WebhookKey,
  WebhookKeys,
  WebhookPayload,
} from "../contract/webhook.ts";
import { mediaTypes } from "../http/media-types.ts";
import { createRouter, problemResponses } from "../http/router.ts";
import type { WebhookKeyrings } from "../state/webhooks/webhook-keyring.ts";
import { publicKey } from "../state/webhooks/webhook-keys.ts";
import type { WebhookStore } from "../state/webhooks/webhook-store.ts";

const getKeys = createRoute({
  method: "get",
  path: "/v1/webhooks/keys",
  summary: "The keys that webhooks are signed with",
  description: "Signed as Standard Webhooks 1.0 says, by each of these keys. The first is made by the first call.",
  responses: {
    200: { description: "Newest first.", content: { "application/json": { schema: WebhookKeys } } },
    ...problemResponses(),
  },
});

const rotateKeys = createRoute({
  method: "post",
  path: "/v1/webhooks/keys/rotate",
  summary: "Sign webhooks with a new key",
  description: "The keys before sign beside it for a while, so that receivers can change over without a gap.",
  middleware: mediaTypes("application/json"),
  request: { body: { required: true, content: { "application/json": { schema: RotateWebhookKeys } } } },
  responses: {
    200: { description: "Newest first.", content: { "application/json": { schema: WebhookKeys } } },
    ...problemResponses(400, 409, 413, 415),
  },
});

const listDisabled = createRoute({
  method: "get",
  path: "/v1/webhooks/disabled",
  summary: "URLs that answered 410 Gone, to which nothing is sent",
  request: {
    query: z.object({
      after: z.string().max(128).optional(),
      limit: z.coerce.number().int().min(1).max(100).default(20),
    }),
  },
  responses: {
    200: { description: "A page.", content: { "application/json": { schema: DisabledWebhooks } } },
    ...problemResponses(400),
  },
});

const enable = createRoute({
  method: "delete",
  path: "/v1/webhooks/disabled/{id}",
  summary: "Send webhooks to a URL again",
  request: { params: z.object({ id: z.string() }) },
  responses: { 204: { description: "It is enabled, whether or not it was disabled." }, ...problemResponses() },
});

type Deps = { webhooks: WebhookStore; keyrings: WebhookKeyrings };

/** What receivers get, for the OpenAPI description: of the whole app, as a mounted router puts a slash before the name. */
export function describeWebhooks(router: ReturnType<typeof createRouter>): void {
  const headers = z.object({
    "webhook-id": z.string(),
    "webhook-timestamp": z.string(),
    "webhook-signature": z.string().meta({ examples: ["v1,... v1a,..."] }),
  });
  const told = [
    { of: "job", payload: WebhookPayload },
    { of: "batch", payload: BatchWebhookPayload },
  ];
  for (const { of, payload } of told) {
    router.openAPIRegistry.registerWebhook({
      method: "post",
      path: of,
      summary: `A ${of} is over`,
      description:
        `Sent to a ${of}'s \`webhook.url\`, signed as Standard Webhooks 1.0 says, by \`v1\` and by \`v1a\`. It may come more ` +
        "than once, under the same `webhook-id`. Any 2xx answer within 15 s is a receipt; 410 disables the URL.",
      request: { headers, body: { required: true, content: { "application/json": { schema: payload } } } },
      responses: { 204: { description: "Received." } },
    });
  }
}

export const webhookRoutes = ({ webhooks, keyrings }: Deps) =>
  createRouter()
    .openapi(getKeys, async (c) => c.json(describeKeys(await keyrings.signingKeys(c.get("tenant"))), 200, SECRET))
    .openapi(rotateKeys, async (c) => {
      const { overlap_seconds } = c.req.valid("json");
      return c.json(describeKeys(await keyrings.rotate(c.get("tenant"), overlap_seconds * 1000)), 200, SECRET);
    })
    .openapi(listDisabled, async (c) => {
      const { after, limit } = c.req.valid("query");
      const page = after === undefined ? { limit } : { limit, after };
      const data = await webhooks.listDisabled(c.get("tenant"), page);
      return c.json(
        {
          object: "list" as const,
          data: data.map(({ id, url, disabled_ms, event }) => ({
            object: "webhook.disabled" as const,
            id,
            url,
            disabled_at: disabled_ms / 1000,
            event_id: event,
          })),
        },
        200,
      );
    })
    .openapi(enable, async (c) => {
      await webhooks.enable(c.get("tenant"), c.req.valid("param").id);
      return c.body(null, 204);
    });

/** Keys must not lie in a cache. */
const SECRET = { "Cache-Control": "no-store" };

const describeKeys = (keys: readonly WebhookKey[]): WebhookKeys => ({
  object: "list",
  data: keys.map(({ id, created_ms, signs_until_ms, secret, private_key }) => ({
    object: "webhook.key",
    id,
    created_at: created_ms / 1000,
    signs_until: signs_until_ms === null ? null : signs_until_ms / 1000,
    secret,
    public_key: publicKey(private_key),
  })),
});

export function webhookDisabled(url: string, field: string): AppError {
  return new AppError("webhook_disabled", `webhooks to ${url} are disabled`, {
    field,
    detail:
      "This URL has answered 410 Gone, so nothing is sent to it. " +
      "Find it at /v1/webhooks/disabled and delete its entry to enable it again.",
  });
}
