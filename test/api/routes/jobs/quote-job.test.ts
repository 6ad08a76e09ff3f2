import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keys } from "../../../../api/contract/keys.ts";
import { JobQuote } from "../../../../api/contract/quote.ts";
import { createWorkerReports } from "../../../../api/state/worker-reports.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../../support/test-app.ts";
import { workerReport } from "../../../support/worker-report.ts";

const price = { currency: "EUR", prompt: 1_000, cached: 100, completion: 10_000 };
let app: TestApp;
beforeAll(async () => {
  app = await openTestApp({ price });
  await createWorkerReports({ objects: app.state.objects, now: app.state.now }).put("w", workerReport());
});
afterAll(() => app[Symbol.asyncDispose]());

const JOB = { document: { text: "the sun is up" }, questions: ["where is the sun", "why"], max_tokens: 10 };
const quote = async (body: object = JOB) => readJson(JobQuote, await app.post("/v1/jobs/quote", body));

describe("POST /v1/jobs/quote: 200", () => {
  it("knows tokens, memory, time and cost before anything is queued", async () => {
    const quoted = await quote();
    expect(quoted).toMatchObject({
      prompt_tokens: 9 + 6,
      max_tokens: 10,
      max_total_tokens: 15 + 20,
      // The longest prompt of 9, on a straight line between the worker's points, and 10 new tokens.
      fits: true,
      memory: { device_bytes: 100, host_bytes: 0, capacity: { device_bytes: 500, host_bytes: 0 } },
      workers: 1,
      estimated_wait_seconds: 0,
      max_cost: { currency: "EUR", amount: (15 * 1_000 + 20 * 10_000) / 1e6 },
    });
    expect(quoted.estimated_run_seconds).toBeCloseTo(15 / 100 + 20 / 10);
    expect(await app.state.objects.list(keys.active)).toEqual([]);
    expect(await app.state.objects.list("t/default/d/")).toEqual([]);
  });

  it("says that no worker has the memory", async () => {
    const text = Array.from({ length: 70 }, () => "word").join(" ");
    expect(await quote({ document: { text }, question: "q", max_tokens: 5 })).toMatchObject({ fits: false });
  });

  it("says what it cannot know without a worker, and without prices", async () => {
    await using bare = await openTestApp();
    expect(await readJson(JobQuote, await bare.post("/v1/jobs/quote", JOB))).toMatchObject({
      prompt_tokens: 15,
      fits: null,
      memory: null,
      workers: 0,
      estimated_run_seconds: null,
      max_cost: null,
    });
  });

  it("keeps the rates of a worker that is gone, but does not count it", async () => {
    await using later = await openTestApp();
    const workers = createWorkerReports({ objects: later.state.objects, now: later.state.now });
    await workers.put("w", workerReport({ updated_ms: later.state.now() - 3_600_000 }));
    const quoted = await readJson(JobQuote, await later.post("/v1/jobs/quote", JOB));
    expect(quoted).toMatchObject({ workers: 0, fits: true });
    expect(quoted.estimated_run_seconds).not.toBeNull();
  });
});

describe("POST /v1/jobs with a quote", () => {
  const redeem = (body: object) => app.post("/v1/jobs", { ...JOB, ...body });

  it("holds the job to the tokens of the quote", async () => {
    const { id } = await quote({ ...JOB, max_tokens: 4 });
    const job = await app.submit({ ...JOB, quote_id: id });
    expect(job.quote_id).toBe(id);
    expect(await app.state.jobs.getRequest("default", job.id)).toMatchObject({ max_tokens: 4, price });
  });

  it("400: refuses a prompt that the quote leaves no answer to", async () => {
    const { id } = await quote({ ...JOB, max_tokens: 1 });
    const problem = await readProblem(await redeem({ quote_id: id, document: { text: "the sun is up since noon" } }));
    expect(problem).toMatchObject({
      code: "budget_exceeded",
      field: "quote_id",
      needed_tokens: 21,
      allowed_tokens: 17,
    });
  });

  it("404: does not know quotes that have expired, that are another's, or that never were", async () => {
    await using own = await openTestApp();
    const { id } = await readJson(JobQuote, await own.post("/v1/jobs/quote", JOB));
    expect(await readProblem(await redeem({ quote_id: id }))).toMatchObject({ code: "quote_not_found" });
    own.state.advance(3_600_001);
    const late = await own.post("/v1/jobs", { ...JOB, quote_id: id });
    expect(await readProblem(late)).toMatchObject({ status: 404, code: "quote_not_found", field: "quote_id" });
    expect((await redeem({ quote_id: "../x" })).status).toBe(404);
    await own.post("/v1/jobs/quote", JOB);
    expect(await own.state.objects.list(keys.quotesOf("default"))).toHaveLength(1);
  });
});

describe("max_cost", () => {
  it("pays for the prompts and as much of the answers as it can", async () => {
    // 15 prompt tokens take 0.015, an answer token 0.01.
    expect(await quote({ ...JOB, max_cost: 0.08 })).toMatchObject({ max_tokens: 3 });
    const problem = await readProblem(await app.post("/v1/jobs/quote", { ...JOB, max_cost: 0.02 }));
    expect(problem).toMatchObject({ status: 400, code: "budget_exceeded", field: "max_cost" });
  });

  it("400: cannot be kept without prices", async () => {
    await using bare = await openTestApp();
    const problem = await readProblem(await bare.post("/v1/jobs", { ...JOB, max_cost: 1 }));
    expect(problem).toMatchObject({ code: "invalid_request", field: "max_cost" });
  });
});
