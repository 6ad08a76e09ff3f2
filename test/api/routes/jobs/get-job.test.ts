import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Job } from "../../../../api/contract/job-resource.ts";
import { claimJob } from "../../../support/claim-job.ts";
import { jobResult } from "../../../support/job-fixtures.ts";
import { openTestApp, readJson, type TestApp } from "../../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const engine = { version: "1", model_revision: "abc", device: "cpu", cache: { kind: "shadowkv", rank: 96 } };

describe("GET /v1/jobs/{id}: 200", () => {
  it("tells of a job that is over what it took and what ran it", async () => {
    const { id } = await app.submit();
    const claim = await claimJob(app.state.jobs, "default", id, "test", engine);
    await app.state.jobs.settleSucceeded(claim, jobResult(id, 1));
    expect(await readJson(Job, await app.get(`/v1/jobs/${id}`))).toMatchObject({
      status: "succeeded",
      attempt: 1,
      engine,
      usage: { prompt_tokens: 9_000, prompt_tokens_details: { cached_tokens: 0 }, completion_tokens: 3 },
      timings: { prefill_ms: 2, decode_ms: 3, queued_ms: expect.any(Number) },
      hit_rate: 0.5,
    });
  });

  it("expires a queued job whose time is over", async () => {
    await using own = await openTestApp();
    const { id } = await own.submit({ ttl_seconds: 5 });
    own.state.advance(4_900);
    expect((await readJson(Job, await own.get(`/v1/jobs/${id}`))).status).toBe("queued");
    own.state.advance(200);
    expect(await readJson(Job, await own.get(`/v1/jobs/${id}`))).toMatchObject({
      status: "expired",
      usage: { total_tokens: 0 },
    });
    expect(await own.state.objects.list("active/")).toEqual([]);
  });

  it("waits as long as the client prefers, but not after the end", async () => {
    const { id } = await app.submit();
    const waiting = app.get(`/v1/jobs/${id}`, { Prefer: "respond-async, wait=30" });
    await app.state.jobs.cancel("default", id);
    const response = await waiting;
    expect(response.headers.get("preference-applied")).toBe("wait=30");
    expect((await readJson(Job, response)).status).toBe("cancelled");
  });

  it.each([
    ["wait=0", "wait=0"],
    ["WAIT = 0; x=1", "wait=0"],
    ["respond-async", null],
    ['wait="0"', "wait=0"],
    ["foo, wait=0", "wait=0"],
    ["wait=soon", null],
    ["wait=1=2", null],
    ["await=5", null],
  ])("of the preference %j applies %j", async (prefer, applied) => {
    const { id } = await app.submit();
    const response = await app.get(`/v1/jobs/${id}`, { Prefer: prefer });
    expect(response.headers.get("preference-applied")).toBe(applied);
    expect((await readJson(Job, response)).status).toBe("queued");
  });

  it("holds none for longer than whatever is before the service lets it", async () => {
    await using own = await openTestApp({ waitMs: 1_000 });
    const { id } = await own.submit();
    const response = await own.get(`/v1/jobs/${id}`, { Prefer: "wait=30" });
    expect(response.headers.get("preference-applied")).toBe("wait=1");
    expect((await readJson(Job, response)).status).toBe("queued");
  });

  it("reads a header that is full of spaces in no time", async () => {
    const { id } = await app.submit();
    // Each of these once took seconds.
    for (let times = 0; times < 30; times++) {
      const response = await app.get(`/v1/jobs/${id}`, { Prefer: `wait${" ".repeat(15_000)}x` });
      expect(response.headers.get("preference-applied")).toBeNull();
    }
  });

  it("holds no request for more than a minute", async () => {
    const { id } = await app.submit();
    await app.state.jobs.cancel("default", id);
    const response = await app.get(`/v1/jobs/${id}`, { Prefer: "wait=3600" });
    expect(response.headers.get("preference-applied")).toBe("wait=60");
  });
});

describe("GET /v1/jobs/{id}: 304", () => {
  it("sends nothing of a job that is as it was, and all of one that changed", async () => {
    const { id } = await app.submit();
    await app.state.jobs.cancel("default", id);
    const other = await app.submit();
    const first = await app.get(`/v1/jobs/${id}`);
    const etag = first.headers.get("etag") ?? "";
    expect(etag).toMatch(/^(W\/)?".+"$/);
    const again = await app.get(`/v1/jobs/${id}`, { "If-None-Match": etag });
    expect([again.status, await again.text()]).toEqual([304, ""]);
    expect((await app.get(`/v1/jobs/${other.id}`, { "If-None-Match": etag })).status).toBe(200);
  });
});
