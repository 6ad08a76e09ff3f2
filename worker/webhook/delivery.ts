import { type WebhookAttempt, type WebhookEvent, WebhookMessage } from "../../api/contract/webhook.ts";
import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import type { WebhookKeyrings } from "../../api/state/webhook-keyring.ts";
import type { WebhookStore } from "../../api/state/webhook-store.ts";
import type { PostOutcome } from "./post.ts";
import { parseRetryAfter, retryDelayMs } from "./schedule.ts";
import { signedHeaders } from "./sign.ts";

export type WebhookDeliveryDeps = {
  webhooks: WebhookStore;
  keyrings: Pick<WebhookKeyrings, "signingKeys">;
  queue: Pick<JobQueue, "delete">;
  post: (request: { url: string; headers: Record<string, string>; body: string }) => Promise<PostOutcome>;
  limits: { webhookLogAttempts: number };
  now: () => number;
  random: () => number;
  log: Record<"info" | "error", (fields: object, message: string) => void>;
};

/** A message may come a little before its time: clocks differ, and delays are whole seconds. */
const EARLY_MS = 1_000;

const parseMessage = (body: string): WebhookMessage | null => {
  try {
    return WebhookMessage.parse(JSON.parse(body));
  } catch {
    return null;
  }
};

/**
 * Takes one message of the webhook queue to its end. The next attempt is sent for before the log says that it is due,
 * and this message is deleted last: a crash anywhere repeats the attempt and loses none. So a message that names
 * another attempt than the log is a leftover, and whatever is to be done has a message of its own.
 */
export async function deliverWebhook(received: ReceivedMessage, deps: WebhookDeliveryDeps): Promise<void> {
  const { webhooks, queue, now, log } = deps;
  const message = parseMessage(received.body);
  if (message === null) log.error({ message_id: received.id }, "malformed webhook message deleted");
  else {
    const event = await webhooks.get(message.tenant, message.job, message.event);
    if (event !== null && event.status === "pending" && event.attempt === message.attempt) await takeUp(event);
  }
  await queue.delete(received.receipt);

  async function takeUp(event: WebhookEvent): Promise<void> {
    if ((event.next_attempt_ms ?? 0) > now() + EARLY_MS) await webhooks.schedule(event);
    else if (await webhooks.isDisabled(event.tenant, event.url)) await settle(event, afterDisabled(event));
    else await attempt(event);
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
    const next = afterAttempt(event, outcome, startedMs);
    if (outcome.status === 410) await webhooks.disable(event.tenant, event.url, event.id);
    log.info(
      { event: event.id, job: event.job, status_code: outcome.status, error: outcome.error?.code, status: next.status },
      "webhook attempted",
    );
    await settle(event, next);
  }

  /** `before` is what the attempt was for: if the event has moved on meanwhile, by a replay, its log stays as it is. */
  async function settle(before: WebhookEvent, next: WebhookEvent): Promise<void> {
    if (next.status === "pending") await webhooks.schedule(next);
    await webhooks.change(before, (current) => (isUnchanged(current, before) ? next : merged(current, next)));
  }

  function afterAttempt(event: WebhookEvent, outcome: PostOutcome, startedMs: number): WebhookEvent {
    const endedMs = now();
    const attempts = event.attempt + 1;
    const entry: WebhookAttempt = {
      at_ms: startedMs,
      duration_ms: Math.max(0, Math.round(endedMs - startedMs)),
      status_code: outcome.status,
      error: outcome.error ?? refusal(outcome.status),
    };
    const ended = (status: WebhookEvent["status"]) => ({
      ...event,
      status,
      attempt: attempts,
      next_attempt_ms: null,
      attempts: [...event.attempts, entry].slice(-deps.limits.webhookLogAttempts),
    });
    if (entry.error === null) return ended("delivered");
    if (outcome.status === 410) return ended("disabled");
    const retryAfterMs = parseRetryAfter(outcome.retryAfter, endedMs);
    const delayMs = retryDelayMs({ attempts: attempts - event.schedule_start, retryAfterMs }, deps.random);
    return delayMs === null ? ended("failed") : { ...ended("pending"), next_attempt_ms: endedMs + delayMs };
  }
}

const afterDisabled = (event: WebhookEvent): WebhookEvent => ({ ...event, status: "disabled", next_attempt_ms: null });

/** Only 2xx is a receipt. */
function refusal(status: number): WebhookAttempt["error"] {
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) {
    return { code: "redirected", message: `It answered ${status}, and redirects are not followed: give the final URL.` };
  }
  if (status === 410) return { code: "gone", message: "It answered 410 Gone: nothing more is sent to this URL." };
  return { code: "not_accepted", message: `It answered ${status} instead of a 2xx status.` };
}

const isUnchanged = (current: WebhookEvent, before: WebhookEvent): boolean =>
  current.attempt === before.attempt && current.next_attempt_ms === before.next_attempt_ms;

/** The attempt counts in the log of an event that was replayed meanwhile; a receipt ends that replay too. */
function merged(current: WebhookEvent, next: WebhookEvent): WebhookEvent | null {
  if (current.status !== "pending" || next.status !== "delivered") return null;
  return { ...next, schedule_start: current.schedule_start };
}
