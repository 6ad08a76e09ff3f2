import { deliverWebhook, type WebhookDeliveryDeps } from "../../worker/webhook/delivery.ts";
import type { PostOutcome } from "../../worker/webhook/post.ts";
import { createSlots } from "../../worker/webhook/slots.ts";
import { claimJob } from "./claim-job.ts";
import { jobRequest } from "./job-fixtures.ts";
import { openTempState } from "./temp-state.ts";

export const HOOK = "https://example.com/hook";
const answered = (status: number): PostOutcome => ({ status, retryAfter: undefined, error: null });

type Sent = Parameters<WebhookDeliveryDeps["post"]>[0];

/** Jobs with webhooks on real embedded state, and a sender whose receiver answers what a test wants. */
export async function openTestWebhooks({ maxDelaySeconds = 900 } = {}) {
  const state = await openTempState();
  const sent: Sent[] = [];
  const receiver: { answer: () => Promise<PostOutcome> } = { answer: async () => answered(200) };
  const deps: WebhookDeliveryDeps = {
    webhooks: state.webhooks,
    keyrings: state.keyrings,
    queue: state.webhookQueue,
    slots: createSlots(2),
    post: async (request) => {
      sent.push(request);
      return receiver.answer();
    },
    now: state.now,
    random: () => 0.5,
    log: { info() {}, error() {} },
  };

  /** Takes what is due now to its end. */
  async function deliverDue(): Promise<number> {
    const messages = await state.webhookQueue.receive({ max: 10, waitMs: 0, visibilityMs: 60_000 });
    for (const message of messages) await deliverWebhook(message, deps);
    return messages.length;
  }

  return {
    state,
    sent,
    deps,
    deliverDue,
    answerWith: (outcome: number | PostOutcome): void => {
      receiver.answer = async () => (typeof outcome === "number" ? answered(outcome) : outcome);
    },
    receiver,
    /** The id of a job that has failed. */
    async endJob(webhook: typeof jobRequest.webhook = { url: HOOK, events: ["job.failed"] }, tenant = "default") {
      const { state: job } = await state.jobs.submit(tenant, { ...jobRequest, webhook });
      const claim = await claimJob(state.jobs, tenant, job.id, "test");
      await state.jobs.settleFailed(claim, { code: "internal", message: "no" });
      return job.id;
    },
    async event(job: string) {
      const [event] = await state.webhooks.list("default", job);
      if (event === undefined) throw new Error(`job ${job} has no event`);
      return event;
    },
    /** Moves the clock on in the longest hops a message can wait, delivering what is due at each. */
    async passTime(ms: number): Promise<void> {
      for (let passed = 0; passed < ms; passed += maxDelaySeconds * 1000) {
        state.advance(Math.min(maxDelaySeconds * 1000, ms - passed));
        while ((await deliverDue()) > 0);
      }
    },
    [Symbol.asyncDispose]: () => state[Symbol.asyncDispose](),
  };
}

export type TestWebhooks = Awaited<ReturnType<typeof openTestWebhooks>>;
