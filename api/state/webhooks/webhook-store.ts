import { createHash } from "node:crypto";
import type { BatchEvent, BatchState, BatchStatus } from "../../contract/batch.ts";
import { AppError } from "../../contract/errors.ts";
import type { JobEvent, JobState } from "../../contract/job.ts";
import { isId, keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import {
  type BatchWebhookPayload,
  DisabledWebhook,
  WebhookEvent,
  type WebhookMessage,
  type WebhookPayload,
} from "../../contract/webhook.ts";
import type { JobQueue } from "../job-queue.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode, readRecord } from "../record.ts";

type Deps = { objects: ObjectStore; webhookQueue: Pick<JobQueue, "send">; now: () => number };

export type WebhookStore = ReturnType<typeof createWebhookStore>;

const maxConflicts = 32;

/** Events of webhooks, with the log of their delivery, and the messages that make a sender deliver them. */
export function createWebhookStore({ objects, webhookQueue, now }: Deps) {
  const read = (tenant: string, job: string, event: string) =>
    readRecord(objects, keys.webhookEvent(tenant, job, event), WebhookEvent);

  /** Sends for the next attempt, in hops if it is due later than a message can be delayed. */
  async function schedule(event: WebhookEvent): Promise<void> {
    const waitMs = Math.max(0, (event.next_attempt_ms ?? 0) - now());
    const message: WebhookMessage = {
      v: 1,
      tenant: event.tenant,
      job: event.job,
      event: event.id,
      attempt: event.attempt,
    };
    await webhookQueue.send({
      body: JSON.stringify(message),
      groupId: event.tenant,
      delaySeconds: Math.min(limits.maxDelaySeconds, Math.ceil(waitMs / 1000)),
    });
  }

  /** Swaps in what `next` makes of the event; it gives null to leave it. Null if there is no such event. */
  async function change(
    at: Pick<WebhookEvent, "tenant" | "job" | "id">,
    next: (event: WebhookEvent) => WebhookEvent | null,
  ): Promise<WebhookEvent | null> {
    const key = keys.webhookEvent(at.tenant, at.job, at.id);
    for (let conflicts = 0; conflicts < maxConflicts; conflicts++) {
      const stored = await readRecord(objects, key, WebhookEvent);
      if (stored === null) return null;
      const value = next(stored.value);
      if (value === null) return stored.value;
      if ((await objects.compareAndSwap(key, stored.etag, encode(value))) !== null) return value;
    }
    throw new AppError("unavailable", `${key} changed ${maxConflicts} times under one update`);
  }

  /** A repetition makes no second event, and of what was deleted meanwhile none stays. */
  async function emitEvent(event: WebhookEvent | null, ofKey: string): Promise<void> {
    if (event === null) return;
    const key = keys.webhookEvent(event.tenant, event.job, event.id);
    const etag = await objects.putIfAbsent(key, encode(event));
    if (etag !== null && (await objects.get(ofKey)) === null) return objects.delete(key);
    await schedule(event);
  }

  return {
    /**
     * Tells of the end of a job, if its webhook asks for it. Whoever ends a job calls it before the job leaves the index
     * of active jobs, so that the sweeper finds what a crash left out.
     */
    emit: (state: JobState): Promise<void> => emitEvent(eventOf(state, now()), keys.jobState(state.tenant, state.id)),

    /** The same of a batch that is over, before the last of its jobs leaves that index. */
    emitBatch: (batch: BatchState): Promise<void> =>
      emitEvent(batchEventOf(batch, now()), keys.batchState(batch.tenant, batch.id)),

    async get(tenant: string, job: string, event: string): Promise<WebhookEvent | null> {
      return isId(job) && isId(event) ? ((await read(tenant, job, event))?.value ?? null) : null;
    },

    async list(tenant: string, job: string): Promise<WebhookEvent[]> {
      if (!isId(job)) return [];
      const found = await objects.list(keys.webhookEvents(tenant, job));
      const records = await Promise.all(found.map(({ key }) => readRecord(objects, key, WebhookEvent)));
      return records.flatMap((record) => record?.value ?? []);
    },

    schedule,
    change,

    /** Delivers the event again, from the start of the schedule; one that waits for its next attempt gets it now. */
    async replay(tenant: string, job: string, event: string): Promise<WebhookEvent | null> {
      if (!isId(job) || !isId(event)) return null;
      const replayed = await change({ tenant, job, id: event }, (current) => ({
        ...current,
        status: "pending",
        schedule_start: current.attempt,
        next_attempt_ms: now(),
      }));
      // After the swap, unlike `settle` of a sender: a message that came before it would find nothing to do.
      if (replayed !== null) await schedule(replayed);
      return replayed;
    },

    /** Whether the URL answered 410 Gone and was not enabled since. */
    async isDisabled(tenant: string, url: string): Promise<boolean> {
      return (await objects.get(keys.disabledWebhook(tenant, disabledId(url)))) !== null;
    },

    async disable(tenant: string, url: string, event: string): Promise<void> {
      const id = disabledId(url);
      const record: DisabledWebhook = { version: 1, id, url, disabled_ms: now(), event };
      await objects.putIfAbsent(keys.disabledWebhook(tenant, id), encode(record));
    },

    async listDisabled(tenant: string, page: { after?: string; limit: number }): Promise<DisabledWebhook[]> {
      const after = page.after === undefined ? {} : { after: keys.disabledWebhook(tenant, page.after) };
      const found = await objects.list(keys.disabledWebhooks(tenant), { ...after, limit: page.limit });
      const records = await Promise.all(found.map(({ key }) => readRecord(objects, key, DisabledWebhook)));
      return records.flatMap((record) => record?.value ?? []);
    },

    /** Lets webhooks go there again; nothing happens if they may already. */
    async enable(tenant: string, id: string): Promise<void> {
      if (isId(id)) await objects.delete(keys.disabledWebhook(tenant, id));
    },
  };
}

/** The same for every repetition: a job ends once. Null if nobody asked for it. */
function eventOf(state: JobState, nowMs: number): WebhookEvent | null {
  const { tenant, id, status, webhook, finished_ms } = state;
  const type = `job.${status}` as JobEvent;
  if (!webhook?.events.includes(type)) return null;
  const timestamp = new Date(finished_ms ?? nowMs).toISOString();
  const payload: WebhookPayload = { type, timestamp, data: { object: "job", id, status } };
  return newEvent({ tenant, of: id, type, url: webhook.url, payload, nowMs });
}

function batchEventOf(batch: BatchState, nowMs: number): WebhookEvent | null {
  const { tenant, id, webhook } = batch;
  const status = batch.status as Exclude<BatchStatus, "validating">;
  const type = `batch.${status}` as BatchEvent;
  if (!webhook?.events.includes(type)) return null;
  const endedMs = batch[`${status}_ms`] ?? nowMs;
  const payload: BatchWebhookPayload = {
    id: eventId(id),
    object: "event",
    type,
    created_at: Math.floor(endedMs / 1000),
    timestamp: new Date(endedMs).toISOString(),
    data: { object: "batch", id, status },
  };
  return newEvent({ tenant, of: id, type, url: webhook.url, payload, nowMs });
}

type NewEvent = Pick<WebhookEvent, "tenant" | "type" | "url"> & { of: string; payload: object; nowMs: number };

const newEvent = ({ tenant, of, type, url, payload, nowMs }: NewEvent): WebhookEvent => ({
  version: 1,
  id: eventId(of),
  tenant,
  job: of,
  type,
  url,
  body: JSON.stringify(payload),
  created_ms: nowMs,
  status: "pending",
  attempt: 0,
  schedule_start: 0,
  next_attempt_ms: nowMs,
  attempts: [],
});

const eventId = (of: string): string => `evt_${of.replace(/^(job|batch)_/, "")}`;

const disabledId = (url: string): string => createHash("sha256").update(url).digest("hex").slice(0, 32);
