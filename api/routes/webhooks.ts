import { createRoute, z } from "@hono/zod-openapi";
import { AppError } from "../contract/errors.ts";
import {
  DisabledWebhooks,
  RotateWebhookKeys,
  WebhookDeliveries,
  WebhookDelivery,
  type WebhookEvent,
  type WebhookKey,
  WebhookKeys,
  WebhookPayload,
} from "../contract/webhook.ts";
import { mediaTypes } from "../media-types.ts";
import { createRouter, problemResponses } from "../router.ts";
import type { JobStore } from "../state/job-store.ts";
import type { WebhookKeyrings } from "../state/webhook-keyring.ts";
import { publicKey } from "../state/webhook-keys.ts";
import type { WebhookStore } from "../state/webhook-store.ts";
import { readJob } from "./jobs/read-job.ts";

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

const listEvents = createRoute({
  method: "get",
  path: "/v1/jobs/{id}/webhooks",
  summary: "What a job's webhook was sent, and how that went",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: { description: "Its events.", content: { "application/json": { schema: WebhookDeliveries } } },
    ...problemResponses(404),
  },
});

const replay = createRoute({
  method: "post",
  path: "/v1/jobs/{id}/webhooks/{event}/replay",
  summary: "Deliver an event again",
  description: "At once, with the same `webhook-id`; should that fail, by the whole schedule.",
  request: { params: z.object({ id: z.string(), event: z.string() }) },
  responses: {
    202: { description: "It will be sent.", content: { "application/json": { schema: WebhookDelivery } } },
    ...problemResponses(404, 409),
  },
});

type Deps = { jobs: Pick<JobStore, "get">; webhooks: WebhookStore; keyrings: WebhookKeyrings };

/** What receivers get, for the OpenAPI description: of the whole app, as a mounted router puts a slash before the name. */
export function describeWebhooks(router: ReturnType<typeof createRouter>): void {
  router.openAPIRegistry.registerWebhook({
    method: "post",
    path: "job",
    summary: "A job is over",
    description:
      "Sent to a job's `webhook.url`, signed as Standard Webhooks 1.0 says, by `v1` and by `v1a`. It may come more " +
      "than once, under the same `webhook-id`. Any 2xx answer within 15 s is a receipt; 410 disables the URL.",
    request: {
      headers: z.object({
        "webhook-id": z.string(),
        "webhook-timestamp": z.string(),
        "webhook-signature": z.string().meta({ examples: ["v1,... v1a,..."] }),
      }),
      body: { required: true, content: { "application/json": { schema: WebhookPayload } } },
    },
    responses: { 204: { description: "Received." } },
  });
}

export const webhookRoutes = ({ jobs, webhooks, keyrings }: Deps) =>
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
    })
    .openapi(listEvents, async (c) => {
      const { id } = await readJob(jobs, c.get("tenant"), c.req.valid("param").id);
      const events = await webhooks.list(c.get("tenant"), id);
      return c.json({ object: "list" as const, data: events.map(describeEvent) }, 200);
    })
    .openapi(replay, async (c) => {
      const tenant = c.get("tenant");
      const { id, event: eventId } = c.req.valid("param");
      await readJob(jobs, tenant, id);
      const event = await webhooks.get(tenant, id, eventId);
      if (event === null) throw eventNotFound(id, eventId);
      if (await webhooks.isDisabled(tenant, event.url)) throw webhookDisabled(event.url, "body");
      const replayed = await webhooks.replay(tenant, id, eventId);
      if (replayed === null) throw eventNotFound(id, eventId);
      return c.json(describeEvent(replayed), 202);
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

const describeEvent = (event: WebhookEvent): WebhookDelivery => ({
  object: "webhook.event",
  id: event.id,
  type: event.type,
  job_id: event.job,
  url: event.url,
  status: event.status,
  created_at: event.created_ms / 1000,
  next_attempt_at: event.next_attempt_ms === null ? null : event.next_attempt_ms / 1000,
  attempt: event.attempt,
  attempts: event.attempts.map(({ at_ms, ...rest }) => ({ at: at_ms / 1000, ...rest })),
  urls: { replay: `/v1/jobs/${event.job}/webhooks/${event.id}/replay` },
});

function eventNotFound(job: string, event: string): AppError {
  return new AppError("webhook_event_not_found", `no event ${event} of job ${job}`, {
    detail: `Job \`${job}\` has no webhook event \`${event}\`: /v1/jobs/${job}/webhooks lists those it has.`,
  });
}

export function webhookDisabled(url: string, field: string): AppError {
  return new AppError("webhook_disabled", `webhooks to ${url} are disabled`, {
    field,
    detail:
      "This URL has answered 410 Gone, so nothing is sent to it. " +
      "Find it at /v1/webhooks/disabled and delete its entry to enable it again.",
  });
}
