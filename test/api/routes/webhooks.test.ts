import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { DisabledWebhooks, WebhookDeliveries, WebhookDelivery, WebhookKeys } from "../../../api/contract/webhook.ts";
import { signedHeaders } from "../../../worker/webhook/sign.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../support/test-app.ts";

const OpenApi = z.object({
  webhooks: z.object({ job: z.object({ post: z.looseObject({ requestBody: z.unknown() }) }) }),
});
const HOOK = "https://example.com/hook";

let api: TestApp;
beforeEach(async () => {
  api = await openTestApp();
});
afterEach(() => api[Symbol.asyncDispose]());

const keysOf = async (response: Response) => (await readJson(WebhookKeys, response)).data;
const rotate = (overlap_seconds?: number) => api.post("/v1/webhooks/keys/rotate", { overlap_seconds });

/** A job that was cancelled, with its one event. */
async function endedJob() {
  const { id } = await api.submit({ webhook: { url: HOOK } });
  await api.post(`/v1/jobs/${id}/cancel`, {});
  const { data } = await readJson(WebhookDeliveries, await api.get(`/v1/jobs/${id}/webhooks`));
  if (data[0] === undefined) throw new Error("no event");
  return { id, event: data[0] };
}

describe("200", () => {
  it("gives the same keys each time, which must not be kept in a cache", async () => {
    const response = await api.get("/v1/webhooks/keys");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const [key, ...others] = await keysOf(response);
    expect(others).toEqual([]);
    expect(key).toMatchObject({ signs_until: null, secret: expect.stringMatching(/^whsec_/) });
    expect(key?.public_key).toMatch(/^whpk_/);
    expect(await keysOf(await api.get("/v1/webhooks/keys"))).toEqual([key]);
  });

  it("describes to the builders of receivers what they get", async () => {
    const { webhooks } = OpenApi.parse(await (await api.get("/openapi.json")).json());
    expect(webhooks.job.post.requestBody).toMatchObject({ required: true });
    expect(JSON.stringify(webhooks.job.post)).toContain("webhook-signature");
  });

  it("gives one key to callers who ask at the same time", async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(async () => keysOf(await api.get("/v1/webhooks/keys"))));
    expect(new Set(answers.map((keys) => keys[0]?.id)).size).toBe(1);
  });

  it("signs with the old key beside the new one until the overlap ends", async () => {
    const [old] = await keysOf(await api.get("/v1/webhooks/keys"));
    const [current, before] = await keysOf(await rotate(3600));
    expect(before).toMatchObject({ id: old?.id, secret: old?.secret });
    expect(before?.signs_until).toBeCloseTo(api.state.now() / 1000 + 3600, 0);
    const message = { id: "evt_1", timestampSeconds: Math.floor(Date.now() / 1000), body: "{}" };
    const during = signedHeaders(message, await api.state.keyrings.signingKeys("default"));
    for (const key of [old, current]) expect(new Webhook(key?.secret ?? "").verify("{}", during)).toEqual({});
    api.state.advance(3601 * 1000);
    const after = signedHeaders(message, await api.state.keyrings.signingKeys("default"));
    expect(new Webhook(current?.secret ?? "").verify("{}", after)).toEqual({});
    expect(() => new Webhook(old?.secret ?? "").verify("{}", after)).toThrow("No matching signature");
  });

  it("ends the old keys at once where there is no overlap", async () => {
    await rotate();
    const keys = await keysOf(await rotate(0));
    expect(keys).toHaveLength(1);
    expect(keys[0]?.signs_until).toBeNull();
  });

  it("shows what a job's webhook was sent, and how that went", async () => {
    const { id, event } = await endedJob();
    expect(event).toMatchObject({ type: "job.cancelled", job_id: id, url: HOOK, status: "pending", attempt: 0 });
    const attempt = { at_ms: 1_000, duration_ms: 5, status_code: 503, error: { code: "not_accepted", message: "no" } };
    await api.state.webhooks.change({ tenant: "default", job: id, id: event.id }, (current) => ({
      ...current,
      attempt: 1,
      attempts: [attempt],
    }));
    const { data } = await readJson(WebhookDeliveries, await api.get(`/v1/jobs/${id}/webhooks`));
    expect(data[0]?.attempts).toEqual([{ at: 1, duration_ms: 5, status_code: 503, error: attempt.error }]);
  });

  it("shows no events of a job without a webhook", async () => {
    const { id } = await api.submit();
    expect(await readJson(WebhookDeliveries, await api.get(`/v1/jobs/${id}/webhooks`))).toEqual({
      object: "list",
      data: [],
    });
  });

  it("lists disabled URLs page by page", async () => {
    for (const n of [1, 2, 3]) await api.state.webhooks.disable("default", `${HOOK}${n}`, "evt_1");
    const page = async (query: string) => readJson(DisabledWebhooks, await api.get(`/v1/webhooks/disabled${query}`));
    const first = await page("?limit=2");
    const second = await page(`?limit=2&after=${first.data[1]?.id}`);
    const urls = [...first.data, ...second.data].map(({ url }) => url).sort();
    expect(urls).toEqual([`${HOOK}1`, `${HOOK}2`, `${HOOK}3`]);
  });
});

describe("202", () => {
  it("sends an event again", async () => {
    const { event } = await endedJob();
    const response = await api.post(event.urls.replay, {});
    expect(response.status).toBe(202);
    expect(await readJson(WebhookDelivery, response)).toMatchObject({ id: event.id, status: "pending" });
    const messages = await api.state.webhookQueue.receive({ max: 10, waitMs: 0, visibilityMs: 1_000 });
    expect(messages).toHaveLength(2);
  });
});

describe("204", () => {
  it("enables a URL, so that jobs may name it again", async () => {
    await api.state.webhooks.disable("default", HOOK, "evt_1");
    const { data } = await readJson(DisabledWebhooks, await api.get("/v1/webhooks/disabled"));
    expect((await api.delete(`/v1/webhooks/disabled/${data[0]?.id}`)).status).toBe(204);
    expect((await api.delete(`/v1/webhooks/disabled/${data[0]?.id}`)).status).toBe(204);
    await api.submit({ webhook: { url: HOOK } });
  });
});

describe("400", () => {
  it.each([
    ["http://example.com/", "must begin with https://"],
    ["https://127.1/", "must not point to an address that is not public"],
    ["https://example.com:22/", "must use the standard port, not 22"],
  ])("refuses a job with the webhook %s", async (url, reason) => {
    const response = await api.post("/v1/jobs", { prompt: "go on", webhook: { url } });
    const { code, field, detail } = await readProblem(response);
    expect({ code, field, status: response.status }).toEqual({
      code: "invalid_request",
      field: "webhook.url",
      status: 400,
    });
    expect(detail).toContain(reason);
  });

  it("refuses an event that there is none of, and an overlap out of range", async () => {
    const webhook = { url: HOOK, events: ["job.begun"] };
    expect((await readProblem(await api.post("/v1/jobs", { prompt: "go on", webhook }))).field).toBe(
      "webhook.events[0]",
    );
    expect((await readProblem(await rotate(-1))).field).toBe("overlap_seconds");
  });
});

describe("404", () => {
  it("knows no events of a job that there is none of", async () => {
    expect((await readProblem(await api.get("/v1/jobs/job_none/webhooks"))).code).toBe("job_not_found");
    expect((await readProblem(await api.post("/v1/jobs/job_none/webhooks/evt_1/replay", {}))).code).toBe(
      "job_not_found",
    );
  });

  it("says so where the job has no such event", async () => {
    const { id } = await api.submit();
    const problem = await readProblem(await api.post(`/v1/jobs/${id}/webhooks/evt_none/replay`, {}));
    expect(problem.code).toBe("webhook_event_not_found");
  });
});

describe("409", () => {
  it("refuses a job and a replay to a URL that is disabled, and says how to enable it", async () => {
    const { event } = await endedJob();
    await api.state.webhooks.disable("default", HOOK, event.id);
    const refused = await api.post("/v1/jobs", { prompt: "go on", webhook: { url: HOOK } });
    const problem = await readProblem(refused);
    expect(problem).toMatchObject({ code: "webhook_disabled", field: "webhook.url" });
    expect(problem.detail).toContain("/v1/webhooks/disabled");
    expect((await readProblem(await api.post(event.urls.replay, {}))).code).toBe("webhook_disabled");
  });

  it("refuses to let more keys overlap than a header can carry", async () => {
    for (let n = 0; n < 4; n++) expect((await rotate()).status).toBe(200);
    expect((await readProblem(await rotate())).code).toBe("too_many_webhook_keys");
    expect((await rotate(0)).status).toBe(200);
  });
});

describe("403", () => {
  it("shows no secret to a key that may only read", async () => {
    await using keyed = await openTestApp({ loopback: false });
    const { headers } = await keyed.makeKey("acme", ["read"]);
    expect((await readProblem(await keyed.get("/v1/webhooks/keys", headers))).code).toBe("insufficient_scope");
    expect((await keyed.get("/v1/webhooks/disabled", headers)).status).toBe(200);
  });

  it("gives each tenant keys of its own, and no sight of another's events", async () => {
    await using keyed = await openTestApp({ loopback: false });
    const [acme, other] = [
      await keyed.makeKey("acme", ["submit", "read"]),
      await keyed.makeKey("other", ["submit", "read"]),
    ];
    const [own, foreign] = await Promise.all(
      [acme, other].map(async ({ headers }) => keysOf(await keyed.get("/v1/webhooks/keys", headers))),
    );
    expect(own?.[0]?.secret).not.toBe(foreign?.[0]?.secret);
    const body = { prompt: "go on", max_tokens: 5, webhook: { url: HOOK } };
    const job = (await (await keyed.post("/v1/jobs", body, "application/json", acme.headers)).json()) as { id: string };
    await keyed.post(`/v1/jobs/${job.id}/cancel`, {}, "application/json", acme.headers);
    expect((await keyed.get(`/v1/jobs/${job.id}/webhooks`, acme.headers)).status).toBe(200);
    expect((await keyed.get(`/v1/jobs/${job.id}/webhooks`, other.headers)).status).toBe(404);
  });
});
