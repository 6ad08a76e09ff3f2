import { limits } from "../../api/contract/limits.ts";
import { parseRetryAfter } from "../../api/contract/retry-after.ts";
import { type WebhookAttempt, type WebhookEvent, WebhookMessage } from "../../api/contract/webhook.ts";
import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import type { WebhookKeyrings } from "../../api/state/webhooks/webhook-keyring.ts";
import type { WebhookStore } from "../../api/state/webhooks/webhook-store.ts";
import { parseMessage } from "../queue/message.ts";
import type { PostOutcome } from "./post.ts";
import { busyDelayMs, retryDelayMs } from "./schedule.ts";
import { signedHeaders } from "./sign.ts";
import type { Slots } from "./slots.ts";

export type WebhookDeliveryDeps = {
  webhooks: WebhookStore;
  keyrings: Pick<WebhookKeyrings, "signingKeys">;
  queue: Pick<JobQueue, "delete" | "extend">;
  slots: Slots;
  post: (request: { url: string; headers: Record<string, string>; body: string }) => Promise<PostOutcome>;
  now: () => number;
  random: () => number;
  log: Record<"info" | "error", (fields: object, message: string) => void>;
};

/** A message may come a little before its time: clocks differ, and delays are whole seconds. */
const EARLY_MS = 1_000;

/**
 * Takes one message of the webhook queue to its end. The next attempt is sent for before the log says that it is due,
 * and this message is deleted last: a crash anywhere repeats the attempt and loses none. So a message that names
 * another attempt than the log is a leftover, and whatever is to be done has a message of its own.
 */
export async function deliverWebhook(received: ReceivedMessage, deps: WebhookDeliveryDeps): Promise<void> {
  const { webhooks, queue, now, log } = deps;
  const message = parseMessage(WebhookMessage, received.body);
  if (message === null) {
    log.error({ message_id: received.id }, "malformed webhook message deleted");
    await queue.delete(received.receipt);
    return;
  }
  const giveBack = deps.slots.take(message.tenant);
  if (giveBack === null) {
    await queue.extend(received.receipt, busyDelayMs(received.receiveCount, deps.random));
    return;
  }
  try {
    const event = await webhooks.get(message.tenant, message.job, message.event);
    if (event !== null && event.status === "pending" && event.attempt === message.attempt) await takeUp(event);
    await queue.delete(received.receipt);
  } finally {
    giveBack();
  }

  async function takeUp(event: WebhookEvent): Promise<void> {
    if ((event.next_attempt_ms ?? 0) > now() + EARLY_MS) await webhooks.schedule(event);
    else if (await webhooks.isDisabled(event.tenant, event.url)) {
      await webhooks.change(event, (current) => (isUnchanged(current, event) ? disabled(current) : null));
    } else await attempt(event);
  }

  async function attempt(event: WebhookEvent): Promise<void> {
    const startedMs = now();
    const keys = await deps.keyrings.signingKeys(event.tenant);
    const timestampSeconds = Math.floor(startedMs / 1000);
    const outcome = await deps.post({
      url: event.url,
      headers: {
        "content-type": "application/json",
        "user-agent": "gnomon-webhooks",
        ...signedHeaders({ id: event.id, timestampSeconds, body: event.body }, keys),
      },
      body: event.body,
    });
    const endedMs = now();
    const entry: WebhookAttempt = {
      at_ms: startedMs,
      duration_ms: Math.max(0, Math.round(endedMs - startedMs)),
      status_code: outcome.status,
      error: outcome.error ?? refusal(outcome.status),
    };
    if (outcome.status === 410) await webhooks.disable(event.tenant, event.url, event.id);
    const next = afterAttempt(event, entry, parseRetryAfter(outcome.retryAfter, endedMs));
    if (next.status === "pending") await webhooks.schedule(next);
    await webhooks.change(event, (current) => (isUnchanged(current, event) ? next : lateEntry(current, entry)));
    const { status } = next;
    log.info(
      { event: event.id, job: event.job, status, code: outcome.status, error: entry.error?.code },
      "webhook sent",
    );
  }

  function afterAttempt(event: WebhookEvent, entry: WebhookAttempt, retryAfterMs: number | null): WebhookEvent {
    const logged = withEntry(event, entry);
    if (entry.error === null) return { ...logged, status: "delivered", next_attempt_ms: null };
    if (entry.status_code === 410) return disabled(logged);
    const delayMs = retryDelayMs({ attempts: logged.attempt - event.schedule_start, retryAfterMs }, deps.random);
    if (delayMs === null) return { ...logged, status: "failed", next_attempt_ms: null };
    return { ...logged, next_attempt_ms: now() + delayMs };
  }
}

const disabled = (event: WebhookEvent): WebhookEvent => ({ ...event, status: "disabled", next_attempt_ms: null });

const withEntry = (event: WebhookEvent, entry: WebhookAttempt): WebhookEvent => ({
  ...event,
  attempt: event.attempt + 1,
  attempts: [...event.attempts, entry].slice(-limits.webhookLogAttempts),
});

/** Only 2xx is a receipt. */
function refusal(status: number): WebhookAttempt["error"] {
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) {
    return {
      code: "redirected",
      message: `It answered ${status}, and redirects are not followed: give the final URL.`,
    };
  }
  if (status === 410) return { code: "gone", message: "It answered 410 Gone: nothing more is sent to this URL." };
  return { code: "not_accepted", message: `It answered ${status} instead of a 2xx status.` };
}

const isUnchanged = (current: WebhookEvent, before: WebhookEvent): boolean =>
  current.attempt === before.attempt && current.next_attempt_ms === before.next_attempt_ms;

/**
 * For an event that was replayed, or attempted by another sender, while this attempt ran: a receipt ends it, and a
 * failure is only logged, as the attempt that is now due has its own message, which names its number.
 */
function lateEntry(current: WebhookEvent, entry: WebhookAttempt): WebhookEvent | null {
  if (current.status !== "pending") return null;
  const logged = withEntry(current, entry);
  if (entry.error === null) return { ...logged, status: "delivered", next_attempt_ms: null };
  return { ...logged, attempt: current.attempt };
}
