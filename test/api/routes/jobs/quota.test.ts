import { describe, expect, it } from "vitest";
import { keys } from "../../../../api/contract/keys.ts";
import { createWorkerReports } from "../../../../api/state/worker-reports.ts";
import { openTestApp, readProblem } from "../../../support/test-app.ts";
import { workerReport } from "../../../support/worker-report.ts";

// Nine prompt tokens and ten of the answer.
const JOB = { document: { text: "the sun is up" }, question: "where is the sun", max_tokens: 10 };

describe("POST /v1/jobs: 429", () => {
  it("refuses a job over its tenant's quota of jobs, until another is over", async () => {
    await using app = await openTestApp({ quota: { jobs: 3, tokens: 0 } });
    const accepted = await Promise.all(Array.from({ length: 3 }, () => app.post("/v1/jobs", JOB)));
    expect(accepted.map(({ status }) => status)).toEqual([202, 202, 202]);
    const refused = await app.post("/v1/jobs", JOB);
    expect(refused.headers.get("retry-after")).toBe("10");
    expect(refused.headers.get("ratelimit-policy")).toBe('"jobs";q=3;qu="concurrent-requests"');
    expect(refused.headers.get("ratelimit")).toBe('"jobs";r=0');
    expect(await readProblem(refused)).toMatchObject({
      status: 429,
      code: "quota_exceeded",
      quota: "jobs",
      limit: 3,
      left: 0,
    });

    const { data } = (await (await app.get("/v1/jobs")).json()) as { data: { id: string }[] };
    await app.post(`/v1/jobs/${data[0]?.id}/cancel`, "");
    app.state.advance(60_000);
    const again = await app.post("/v1/jobs", JOB);
    expect(again.status).toBe(202);
    expect(again.headers.get("ratelimit")).toBe('"jobs";r=0');
  });

  it("counts the same after the clock was put back", async () => {
    await using app = await openTestApp({ quota: { jobs: 2, tokens: 0 } });
    const { id } = await app.submit();
    await app.submit();
    app.state.advance(-3_600_000);
    // The jobs are from an hour to come by now.
    expect((await app.post("/v1/jobs", JOB)).status).toBe(429);
    await app.post(`/v1/jobs/${id}/cancel`, "");
    app.state.advance(60_000);
    expect((await app.post("/v1/jobs", JOB)).headers.get("ratelimit")).toBe('"jobs";r=0');
  });

  it("counts the prompt and answer tokens that jobs may take", async () => {
    await using app = await openTestApp({ quota: { jobs: 0, tokens: 50 } });
    const first = await app.post("/v1/jobs", JOB);
    expect(first.headers.get("ratelimit-policy")).toBe('"tokens";q=50;qu="tokens"');
    expect(first.headers.get("ratelimit")).toBe('"tokens";r=31');
    expect((await app.post("/v1/jobs", JOB)).status).toBe(202);
    expect(await readProblem(await app.post("/v1/jobs", JOB))).toMatchObject({
      code: "quota_exceeded",
      quota: "tokens",
      left: 12,
      needed: 19,
    });
    expect((await app.post("/v1/jobs", { ...JOB, max_tokens: 3 })).status).toBe(202);
  });

  it("says when it may pass, from the rates of the workers", async () => {
    await using app = await openTestApp({ quota: { jobs: 2, tokens: 0 } });
    await createWorkerReports({ objects: app.state.objects, now: app.state.now }).put("w", workerReport());
    for (let i = 0; i < 2; i++) await app.post("/v1/jobs", { ...JOB, max_tokens: 80 });
    // 9 tokens at 100 a second and 80 at 10.
    expect((await app.post("/v1/jobs", JOB)).headers.get("retry-after")).toBe("9");
  });

  it("lets many at once in no further than the quota goes", async () => {
    await using app = await openTestApp({ quota: { jobs: 5, tokens: 0 } });
    const responses = await Promise.all(Array.from({ length: 20 }, () => app.post("/v1/jobs", JOB)));
    expect(responses.filter(({ status }) => status === 202)).toHaveLength(5);
    expect(responses.filter(({ status }) => status === 429)).toHaveLength(15);
    expect(await app.state.objects.list(keys.active)).toHaveLength(5);
  });

  it("counts the jobs that other processes took in", async () => {
    await using app = await openTestApp({ quota: { jobs: 1, tokens: 0 } });
    await app.state.jobs.submit("default", (await app.state.jobs.getRequest("default", (await app.submit()).id))!);
    app.state.advance(60_000);
    expect((await app.post("/v1/jobs", JOB)).status).toBe(429);
  });

  it("does not count a request again that came before", async () => {
    await using app = await openTestApp({ quota: { jobs: 2, tokens: 0 } });
    const send = () => app.post("/v1/jobs", JOB, "application/json", { "Idempotency-Key": "k" });
    for (let i = 0; i < 5; i++) await send();
    expect((await app.post("/v1/jobs", JOB)).status).toBe(202);
  });
});

describe("POST /v1/jobs: 400", () => {
  it("refuses a job that is over the quota all by itself", async () => {
    await using app = await openTestApp({ quota: { jobs: 0, tokens: 18 } });
    expect(await readProblem(await app.post("/v1/jobs", JOB))).toMatchObject({ code: "budget_exceeded", needed: 19 });
  });
});
