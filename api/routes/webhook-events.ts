import { createRoute, z } from "@hono/zod-openapi";
import { AppError } from "../contract/errors.ts";
import { WebhookDeliveries, WebhookDelivery, type WebhookEvent } from "../contract/webhook.ts";
import { createRouter, problemResponses } from "../http/router.ts";
import type { BatchStore } from "../state/batches/batch-store.ts";
import type { JobStore } from "../state/jobs/job-store.ts";
import type { WebhookStore } from "../state/webhooks/webhook-store.ts";
import { readBatch } from "./batches/describe-batch.ts";
import { readJob } from "./jobs/read-job.ts";
import { webhookDisabled } from "./webhooks.ts";

const list = {
  method: "get",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: { description: "Its events.", content: { "application/json": { schema: WebhookDeliveries } } },
    ...problemResponses(404),
  },
} as const;

const listOfJob = createRoute({
  ...list,
  path: "/v1/jobs/{id}/webhooks",
  summary: "What a job's webhook was sent, and how that went",
});

const listOfBatch = createRoute({
  ...list,
  path: "/v1/batches/{id}/webhooks",
  summary: "What a batch's webhook was sent, and how that went",
});

const replay = {
  method: "post",
  description: "At once, with the same `webhook-id`; should that fail, by the whole schedule.",
  request: { params: z.object({ id: z.string(), event: z.string() }) },
  responses: {
    202: { description: "It will be sent.", content: { "application/json": { schema: WebhookDelivery } } },
    ...problemResponses(404, 409),
  },
} as const;

const replayOfJob = createRoute({
  ...replay,
  path: "/v1/jobs/{id}/webhooks/{event}/replay",
  summary: "Deliver an event again",
});

const replayOfBatch = createRoute({
  ...replay,
  path: "/v1/batches/{id}/webhooks/{event}/replay",
  summary: "Deliver an event of a batch again",
});

type Deps = { jobs: Pick<JobStore, "get">; batches: BatchStore; webhooks: WebhookStore };

export function webhookEventRoutes({ jobs, batches, webhooks }: Deps) {
  async function eventsOf(tenant: string, of: string): Promise<WebhookDeliveries> {
    return { object: "list", data: (await webhooks.list(tenant, of)).map(describeEvent) };
  }

  async function replayed(tenant: string, of: string, eventId: string): Promise<WebhookDelivery> {
    const event = await webhooks.get(tenant, of, eventId);
    if (event === null) throw eventNotFound(of, eventId);
    if (await webhooks.isDisabled(tenant, event.url)) throw webhookDisabled(event.url, "body");
    const again = await webhooks.replay(tenant, of, eventId);
    if (again === null) throw eventNotFound(of, eventId);
    return describeEvent(again);
  }

  return createRouter()
    .openapi(listOfJob, async (c) => {
      const { id } = await readJob(jobs, c.get("tenant"), c.req.valid("param").id);
      return c.json(await eventsOf(c.get("tenant"), id), 200);
    })
    .openapi(listOfBatch, async (c) => {
      const { id } = await readBatch(batches, c.get("tenant"), c.req.valid("param").id);
      return c.json(await eventsOf(c.get("tenant"), id), 200);
    })
    .openapi(replayOfJob, async (c) => {
      const { id, event } = c.req.valid("param");
      await readJob(jobs, c.get("tenant"), id);
      return c.json(await replayed(c.get("tenant"), id, event), 202);
    })
    .openapi(replayOfBatch, async (c) => {
      const { id, event } = c.req.valid("param");
      await readBatch(batches, c.get("tenant"), id);
      return c.json(await replayed(c.get("tenant"), id, event), 202);
    });
}

const isBatch = (of: string): boolean => of.startsWith("batch_");
const pathOf = (of: string): string => `/v1/${isBatch(of) ? "batches" : "jobs"}/${of}/webhooks`;

const describeEvent = (event: WebhookEvent): WebhookDelivery => ({
  object: "webhook.event",
  id: event.id,
  type: event.type,
  ...(isBatch(event.job) ? { batch_id: event.job } : { job_id: event.job }),
  url: event.url,
  status: event.status,
  created_at: event.created_ms / 1000,
  next_attempt_at: event.next_attempt_ms === null ? null : event.next_attempt_ms / 1000,
  attempt: event.attempt,
  attempts: event.attempts.map(({ at_ms, ...rest }) => ({ at: at_ms / 1000, ...rest })),
  urls: { replay: `${pathOf(event.job)}/${event.id}/replay` },
});

function eventNotFound(of: string, event: string): AppError {
  return new AppError("webhook_event_not_found", `no event ${event} of ${of}`, {
    detail: `${isBatch(of) ? "Batch" : "Job"} \`${of}\` has no webhook event \`${event}\`: ${pathOf(of)} lists those it has.`,
  });
}
