import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebhookPayload } from "../../../api/contract/webhook.ts";
import { deliverWebhook } from "../../../worker/webhook/delivery.ts";
import { eventually } from "../../support/eventually.ts";
import { jobRequest } from "../../support/job-fixtures.ts";
import { HOOK, openTestWebhooks, type TestWebhooks } from "../../support/webhook-fixtures.ts";

const HOUR = 3_600_000;

let hooks: TestWebhooks;
beforeEach(async () => {
  hooks = await openTestWebhooks();
});
afterEach(() => hooks[Symbol.asyncDispose]());

const messagesLeft = async () => {
  hooks.state.advance(100 * HOUR);
  return (await hooks.state.webhookQueue.receive({ max: 10, waitMs: 0, visibilityMs: 1 })).length;
};

describe("the end of a job", () => {
  it("is told once, thin and signed, to who asked", async () => {
    const id = await hooks.endJob();
    expect(await hooks.deliverDue()).toBe(1);
    expect(hooks.sent).toHaveLength(1);
    const { url, headers, body } = hooks.sent[0] ?? { url: "", headers: {}, body: "" };
    expect(url).toBe(HOOK);
    expect(WebhookPayload.parse(JSON.parse(body))).toEqual({
      type: "job.failed",
      timestamp: expect.any(String),
      data: { object: "job", id, status: "failed" },
    });
    const [key] = await hooks.state.keyrings.signingKeys("default");
    expect(new Webhook(key?.secret ?? "").verify(body, headers)).toEqual(JSON.parse(body));
    const event = await hooks.event(id);
    expect(headers["webhook-id"]).toBe(event.id);
    expect(event).toMatchObject({ status: "delivered", attempt: 1, next_attempt_ms: null });
    expect(event.attempts).toEqual([
      { at_ms: expect.any(Number), duration_ms: expect.any(Number), status_code: 200, error: null },
    ]);
    expect(await messagesLeft()).toBe(0);
  });

  it("is not told where it is not asked for", async () => {
    await hooks.endJob({ url: HOOK, events: ["job.succeeded", "job.cancelled"] });
    await hooks.endJob(null);
    expect(await hooks.deliverDue()).toBe(0);
  });

  it("is told of a cancelled and of an expired job too", async () => {
    const { jobs } = hooks.state;
    const webhook = { url: HOOK, events: ["job.cancelled" as const, "job.expired" as const] };
    const cancelled = await jobs.submit("default", { ...jobRequest, webhook });
    await jobs.cancel("default", cancelled.state.id);
    const expiring = await jobs.submit("default", { ...jobRequest, webhook, ttl_ms: 1_000 });
    hooks.state.advance(2_000);
    await jobs.get("default", expiring.state.id);
    await hooks.deliverDue();
    const types = hooks.sent.map(({ body }) => WebhookPayload.parse(JSON.parse(body)).type);
    expect(new Set(types)).toEqual(new Set(["job.cancelled", "job.expired"]));
  });

  it("is told at least once, under one id, whatever is repeated", async () => {
    const id = await hooks.endJob();
    const job = await hooks.state.jobs.get("default", id);
    if (job) await hooks.state.webhooks.emit(job);
    await hooks.deliverDue();
    await hooks.deliverDue();
    expect(new Set(hooks.sent.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect((await hooks.event(id)).status).toBe("delivered");
    expect(await messagesLeft()).toBe(0);
  });
});

describe("a receiver that fails", () => {
  it("is tried ten times over 75 hours, each with the same id and a time of its own", async () => {
    hooks.answerWith(503);
    const id = await hooks.endJob();
    await hooks.deliverDue();
    await hooks.passTime(76 * HOUR);
    const event = await hooks.event(id);
    expect(event).toMatchObject({ status: "failed", attempt: 10, next_attempt_ms: null });
    const [first, ...later] = event.attempts.map(({ at_ms }) => at_ms);
    const hoursAfter = later.map((at) => (at - (first ?? 0)) / HOUR);
    // Each at its time or at the next look after it, a quarter of an hour later at most.
    const planned = [0.0014, 0.085, 0.585, 2.585, 7.585, 17.585, 31.585, 51.585, 75.585];
    for (const [index, hours] of hoursAfter.entries()) {
      expect(hours).toBeGreaterThanOrEqual(planned[index] ?? 0);
      expect(hours).toBeLessThan((planned[index] ?? 0) + (index + 1) * 0.26);
    }
    expect(new Set(hooks.sent.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect(new Set(hooks.sent.map(({ body }) => body)).size).toBe(1);
    expect(new Set(hooks.sent.map(({ headers }) => headers["webhook-timestamp"])).size).toBeGreaterThan(8);
    expect(await messagesLeft()).toBe(0);
  });

  it("is told when it recovers", async () => {
    hooks.answerWith({ status: null, retryAfter: undefined, error: { code: "timed_out", message: "No answer." } });
    const id = await hooks.endJob();
    await hooks.deliverDue();
    expect((await hooks.event(id)).attempts[0]?.error?.code).toBe("timed_out");
    hooks.answerWith(204);
    await hooks.passTime(HOUR);
    expect(await hooks.event(id)).toMatchObject({ status: "delivered", attempt: 2 });
  });

  it("is left in peace for as long as it asks", async () => {
    hooks.answerWith({ status: 429, retryAfter: "7200", error: null });
    const id = await hooks.endJob();
    await hooks.deliverDue();
    hooks.answerWith(200);
    await hooks.passTime(1.9 * HOUR);
    expect((await hooks.event(id)).attempt).toBe(1);
    await hooks.passTime(0.5 * HOUR);
    expect((await hooks.event(id)).status).toBe("delivered");
  });

  it.each([301, 302, 307, 308])("has failed if it redirects: %i", async (status) => {
    hooks.answerWith(status);
    const id = await hooks.endJob();
    await hooks.deliverDue();
    expect(await hooks.event(id)).toMatchObject({ status: "pending", attempts: [{ error: { code: "redirected" } }] });
  });
});

describe("a receiver that is gone", () => {
  it("gets nothing more after 410, neither of this job nor of others", async () => {
    hooks.answerWith(410);
    const first = await hooks.endJob();
    await hooks.deliverDue();
    expect(await hooks.event(first)).toMatchObject({
      status: "disabled",
      attempt: 1,
      attempts: [{ status_code: 410 }],
    });
    hooks.answerWith(200);
    const second = await hooks.endJob();
    await hooks.deliverDue();
    expect(await hooks.event(second)).toMatchObject({ status: "disabled", attempt: 0 });
    expect(hooks.sent).toHaveLength(1);
    expect(await messagesLeft()).toBe(0);
  });

  it("takes no other URL and no other tenant with it", async () => {
    hooks.answerWith(410);
    await hooks.endJob();
    await hooks.deliverDue();
    hooks.answerWith(200);
    await hooks.endJob({ url: `${HOOK}2`, events: ["job.failed"] });
    await hooks.endJob(undefined, "other");
    await hooks.deliverDue();
    expect(hooks.sent).toHaveLength(3);
  });
});

describe("a replay", () => {
  it("delivers again, under the same id", async () => {
    const id = await hooks.endJob();
    await hooks.deliverDue();
    const { id: event } = await hooks.event(id);
    expect(await hooks.state.webhooks.replay("default", id, event)).toMatchObject({ status: "pending", attempt: 1 });
    await hooks.deliverDue();
    expect(await hooks.event(id)).toMatchObject({ status: "delivered", attempt: 2 });
    expect(new Set(hooks.sent.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect(hooks.sent).toHaveLength(2);
  });

  it("begins the schedule anew for an event that had failed for good", async () => {
    hooks.answerWith(500);
    const id = await hooks.endJob();
    await hooks.deliverDue();
    await hooks.passTime(78 * HOUR);
    expect((await hooks.event(id)).status).toBe("failed");
    await hooks.state.webhooks.replay("default", id, (await hooks.event(id)).id);
    await hooks.deliverDue();
    const { status, attempt, next_attempt_ms } = await hooks.event(id);
    expect({ status, attempt }).toEqual({ status: "pending", attempt: 11 });
    expect((next_attempt_ms ?? 0) - hooks.state.now()).toBeLessThanOrEqual(5_000);
  });

  it("does at once what waits for its next attempt, which then is not made twice", async () => {
    hooks.answerWith(500);
    const id = await hooks.endJob();
    await hooks.deliverDue();
    hooks.answerWith(200);
    await hooks.state.webhooks.replay("default", id, (await hooks.event(id)).id);
    await hooks.deliverDue();
    await hooks.passTime(HOUR);
    expect(await hooks.event(id)).toMatchObject({ status: "delivered", attempt: 2 });
    expect(hooks.sent).toHaveLength(2);
    expect(await messagesLeft()).toBe(0);
  });

  it("during an attempt is not lost with it, and the attempt is logged", async () => {
    const id = await hooks.endJob();
    const { id: event } = await hooks.event(id);
    hooks.receiver.answer = async () => {
      await hooks.state.webhooks.replay("default", id, event);
      return { status: 500, retryAfter: undefined, error: null };
    };
    hooks.state.advance(10);
    await hooks.deliverDue();
    expect((await hooks.event(id)).attempts).toHaveLength(1);
    hooks.answerWith(200);
    await hooks.deliverDue();
    expect(await hooks.event(id)).toMatchObject({ status: "delivered" });
  });
});

describe("a sender that dies", () => {
  it.each(["schedule", "change"] as const)(
    "at %s, after the receiver answered: the attempt is repeated",
    async (method) => {
      hooks.answerWith(500);
      const id = await hooks.endJob();
      const [message] = await hooks.state.webhookQueue.receive({ max: 1, waitMs: 0, visibilityMs: 60_000 });
      if (message === undefined) throw new Error("no message");
      const dying = { ...hooks.state.webhooks, [method]: async () => Promise.reject(new Error("killed")) };
      await expect(deliverWebhook(message, { ...hooks.deps, webhooks: dying })).rejects.toThrow("killed");
      hooks.answerWith(200);
      await hooks.passTime(HOUR);
      expect(await hooks.event(id)).toMatchObject({ status: "delivered", attempt: 1 });
      expect(hooks.sent).toHaveLength(2);
      expect(await messagesLeft()).toBe(0);
    },
  );

  it("before it deletes its message: the next attempt is not made twice", async () => {
    hooks.answerWith(500);
    const id = await hooks.endJob();
    const [message] = await hooks.state.webhookQueue.receive({ max: 1, waitMs: 0, visibilityMs: 60_000 });
    if (message === undefined) throw new Error("no message");
    const queue = { ...hooks.deps.queue, delete: async () => Promise.reject(new Error("killed")) };
    await expect(deliverWebhook(message, { ...hooks.deps, queue })).rejects.toThrow("killed");
    hooks.answerWith(200);
    await hooks.passTime(HOUR);
    expect(await hooks.event(id)).toMatchObject({ status: "delivered", attempt: 2 });
    expect(hooks.sent).toHaveLength(2);
  });
});

describe("a message without use", () => {
  it.each(["no json", "{}", JSON.stringify({ v: 1, tenant: "default", job: "../x", event: "evt_1", attempt: 0 })])(
    "is deleted: %s",
    async (body) => {
      await hooks.state.webhookQueue.send({ body });
      await hooks.deliverDue();
      expect(await messagesLeft()).toBe(0);
    },
  );

  it("is deleted if its job was", async () => {
    const id = await hooks.endJob();
    await hooks.state.jobs.delete("default", id);
    await hooks.deliverDue();
    expect(hooks.sent).toEqual([]);
    expect(await messagesLeft()).toBe(0);
  });
});

describe("a tenant whose receivers are all slow", () => {
  it("waits for its own, while others are told at once, and loses nothing", async () => {
    const answers: (() => void)[] = [];
    hooks.receiver.answer = () =>
      new Promise((resolve) => answers.push(() => resolve({ status: 200, retryAfter: undefined, error: null })));
    const ids = [await hooks.endJob(), await hooks.endJob(), await hooks.endJob()];
    await hooks.endJob(undefined, "other");
    const messages = await hooks.state.webhookQueue.receive({ max: 10, waitMs: 0, visibilityMs: 60_000 });
    const deliveries = messages.map((message) => deliverWebhook(message, hooks.deps));
    await eventually(() => expect(answers).toHaveLength(3));
    for (const answer of answers) answer();
    await Promise.all(deliveries);
    hooks.answerWith(200);
    await hooks.passTime(10_000);
    for (const id of ids) expect(await hooks.event(id)).toMatchObject({ status: "delivered", attempt: 1 });
    expect(hooks.sent).toHaveLength(4);
  });

  it("is looked at ever less often, and told within minutes of the end of that", async () => {
    const { slots } = hooks.deps;
    const taken = [slots.take("default"), slots.take("default")];
    const id = await hooks.endJob();
    let looks = 0;
    for (let minute = 0; minute < 60; minute++) {
      hooks.state.advance(60_000);
      looks += await hooks.deliverDue();
    }
    expect(looks).toBeGreaterThan(5);
    expect(looks).toBeLessThan(25);
    for (const giveBack of taken) giveBack?.();
    hooks.state.advance(5 * 60_000);
    await hooks.deliverDue();
    expect(await hooks.event(id)).toMatchObject({ status: "delivered", attempt: 1 });
  });
});
