import { z } from "zod";
import { BatchEvent } from "./batch.ts";
import { JobEvent } from "./job.ts";
import { limits } from "./limits.ts";

/** One pair of keys that sign a tenant's webhooks: symmetric (v1) and ed25519 (v1a), in the formats of Standard Webhooks. */
export const WebhookKey = z.object({
  id: z.string(),
  created_ms: z.int(),
  /** Signs until then; null for the current one. */
  signs_until_ms: z.int().nullable(),
  secret: z.string(),
  private_key: z.string(),
});
export type WebhookKey = z.infer<typeof WebhookKey>;

/** keys.json of a tenant, newest first; changed by compare-and-swap. */
export const WebhookKeyring = z.object({ version: z.literal(1), keys: z.array(WebhookKey).min(1) });
export type WebhookKeyring = z.infer<typeof WebhookKeyring>;

/**
 * `disabled`: not sent, because its URL had answered 410 Gone.
 * `failed`: every attempt of the schedule failed.
 */
const WebhookEventStatus = z.enum(["pending", "delivered", "failed", "disabled"]);

/** One attempt to deliver: either it was answered, and the answer judged by its status, or `error` says why not. */
const Attempt = z.object({
  at_ms: z.int(),
  duration_ms: z.int(),
  status_code: z.int().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type WebhookAttempt = z.infer<typeof Attempt>;

const EventType = z.enum([...JobEvent.options, ...BatchEvent.options]);

/** What is told of one job or batch, with the log of its delivery; changed by compare-and-swap. */
export const WebhookEvent = z.object({
  version: z.literal(1),
  id: z.string(),
  tenant: z.string(),
  /** Its id, or that of the batch. */
  job: z.string(),
  type: EventType,
  url: z.string(),
  /** The bytes that are sent, the same each time. */
  body: z.string(),
  created_ms: z.int(),
  status: WebhookEventStatus,
  /** Attempts so far. */
  attempt: z.int(),
  /** Attempts when the current run through the schedule began: 0, or more after a replay. */
  schedule_start: z.int(),
  next_attempt_ms: z.int().nullable(),
  /** The latest attempts, oldest first. */
  attempts: z.array(Attempt),
});
export type WebhookEvent = z.infer<typeof WebhookEvent>;

/** A URL that answered 410 Gone: nothing is sent there until the tenant enables it again. */
export const DisabledWebhook = z.object({
  version: z.literal(1),
  id: z.string(),
  url: z.string(),
  disabled_ms: z.int(),
  /** The event that it answered so. */
  event: z.string(),
});
export type DisabledWebhook = z.infer<typeof DisabledWebhook>;

/** A message of the webhook queue: which attempt of which event is due. */
export const WebhookMessage = z.object({
  v: z.literal(1),
  tenant: z.string(),
  job: z.string(),
  event: z.string(),
  attempt: z.int(),
});
export type WebhookMessage = z.infer<typeof WebhookMessage>;

/** What GET /v1/webhooks/keys returns. Times in Unix seconds. */
export const WebhookKeys = z
  .object({
    object: z.literal("list"),
    data: z.array(
      z.object({
        object: z.literal("webhook.key"),
        id: z.string(),
        created_at: z.number(),
        signs_until: z.number().nullable().meta({ description: "null: it is the current one." }),
        secret: z.string().meta({ description: "For signatures `v1`: keep it to yourself.", examples: ["whsec_..."] }),
        public_key: z.string().meta({ description: "For signatures `v1a`.", examples: ["whpk_..."] }),
      }),
    ),
  })
  .meta({ id: "WebhookKeys", description: "All keys that sign now, newest first." });
export type WebhookKeys = z.infer<typeof WebhookKeys>;

export const RotateWebhookKeys = z
  .strictObject({
    overlap_seconds: z
      .int()
      .min(0)
      .max(limits.maxKeyOverlapSeconds)
      .default(limits.keyOverlapSeconds)
      .meta({ description: "How long the keys before go on signing beside the new one. 0 ends them now." }),
  })
  .meta({ id: "RotateWebhookKeys" });

/** What is delivered of an event, and how that went. Times in Unix seconds. */
export const WebhookDelivery = z
  .object({
    object: z.literal("webhook.event"),
    id: z.string().meta({ description: "Also its header `webhook-id`: the same at every attempt." }),
    type: EventType,
    job_id: z.string().optional().meta({ description: "Of what it tells: either this, or `batch_id`." }),
    batch_id: z.string().optional(),
    url: z.string(),
    status: WebhookEventStatus,
    created_at: z.number(),
    next_attempt_at: z.number().nullable(),
    attempt: z.int().meta({ description: "Attempts so far." }),
    attempts: z
      .array(
        z.object({
          at: z.number(),
          duration_ms: z.int(),
          status_code: z.int().nullable(),
          error: z.object({ code: z.string(), message: z.string() }).nullable(),
        }),
      )
      .meta({ description: `The latest ${limits.webhookLogAttempts}, oldest first.` }),
    urls: z.object({ replay: z.string() }),
  })
  .meta({ id: "WebhookDelivery" });
export type WebhookDelivery = z.infer<typeof WebhookDelivery>;

export const WebhookDeliveries = z
  .object({ object: z.literal("list"), data: z.array(WebhookDelivery) })
  .meta({ id: "WebhookDeliveries" });
export type WebhookDeliveries = z.infer<typeof WebhookDeliveries>;

export const DisabledWebhooks = z
  .object({
    object: z.literal("list"),
    data: z.array(
      z.object({
        object: z.literal("webhook.disabled"),
        id: z.string(),
        url: z.string(),
        disabled_at: z.number(),
        event_id: z.string(),
      }),
    ),
  })
  .meta({ id: "DisabledWebhooks" });
export type DisabledWebhooks = z.infer<typeof DisabledWebhooks>;

/** What a receiver gets: no more than what happened to which job, whose state and result it then fetches. */
export const WebhookPayload = z
  .object({
    type: JobEvent,
    timestamp: z.iso.datetime(),
    data: z.object({ object: z.literal("job"), id: z.string(), status: z.string() }),
  })
  .meta({ id: "WebhookPayload" });
export type WebhookPayload = z.infer<typeof WebhookPayload>;

/** The same of a batch, with all that OpenAI's events have. */
export const BatchWebhookPayload = z
  .object({
    id: z.string().meta({ description: "Also in the header `webhook-id`." }),
    object: z.literal("event"),
    type: BatchEvent,
    created_at: z.int(),
    timestamp: z.iso.datetime(),
    data: z.object({ object: z.literal("batch"), id: z.string(), status: z.string() }),
  })
  .meta({ id: "BatchWebhookPayload" });
export type BatchWebhookPayload = z.infer<typeof BatchWebhookPayload>;
