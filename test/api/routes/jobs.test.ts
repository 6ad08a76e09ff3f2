import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Document } from "../../../api/contract/document.ts";
import { Job } from "../../../api/contract/job-resource.ts";
import { JobResult } from "../../../api/contract/job-result.ts";
import { usage } from "../../support/job-fixtures.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const JOB = { document: { text: "the sun is up" }, question: "where is the sun" };
const words = (count: number) => Array.from({ length: count }, () => "word").join(" ");

async function submit(body: object = JOB) {
  const response = await app.post("/v1/jobs", { max_tokens: 10, ...body });
  expect(response.status).toBe(202);
  return readJson(Job, response);
}

const refuse = async (body: unknown, type?: string) => readProblem(await app.post("/v1/jobs", body, type));

describe("POST /v1/jobs: 202", () => {
  it("accepts a job with an inline document and says where to poll", async () => {
    const response = await app.post("/v1/jobs", { ...JOB, max_tokens: 10, metadata: { ward: "7" } });
    const job = await readJson(Job, response);
    expect(response.status).toBe(202);
    expect(response.headers.get("location")).toBe(`/v1/jobs/${job.id}`);
    expect(job).toMatchObject({
      object: "job",
      status: "queued",
      model: "words",
      attempt: 0,
      metadata: { ward: "7" },
      error: null,
      urls: { self: `/v1/jobs/${job.id}`, result: `/v1/jobs/${job.id}/result` },
    });
  });

  it("knows the exact prompt tokens of all questions before anything runs", async () => {
    const job = await submit({ document: JOB.document, questions: ["where is the sun", "why"] });
    expect(job.progress).toEqual({
      prompt_tokens: 9 + 6,
      prefill_tokens: 0,
      generated_tokens: 0,
      questions_done: 0,
      questions_total: 2,
    });
  });

  it("sends one pointer to the queue and stores the resolved request", async () => {
    await using own = await openTestApp();
    const job = await readJson(Job, await own.post("/v1/jobs", { ...JOB, max_tokens: 10, temperature: 0.5 }));
    const messages = await own.state.queue.receive({ max: 10, waitMs: 0, visibilityMs: 1000 });
    expect(messages.map(({ body }) => JSON.parse(body))).toMatchObject([{ v: 1, tenant: "default", job: job.id }]);
    const request = await own.state.jobs.getRequest("default", job.id);
    expect(request).toMatchObject({
      model: "words",
      input: { kind: "questions", questions: [JOB.question] },
      prompt_tokens: [9],
      max_tokens: 10,
      temperature: 0.5,
      seed: 0,
    });
    const text = await own.state.documents.getDocumentText("default", request?.input.document_ids[0] ?? "");
    expect(text).toBe(JOB.document.text);
  });

  it("takes a document that was sent before", async () => {
    const document = await readJson(Document, await app.post("/v1/documents", { text: "once upon a time" }));
    const job = await submit({ document: { id: document.id }, question: "when" });
    expect(job.progress.prompt_tokens).toBe(6);
  });

  it("stores a text once, however often it is sent inline", async () => {
    const jobs = [await submit(), await submit({ ...JOB, question: "why" })];
    const requests = await Promise.all(jobs.map(({ id }) => app.state.jobs.getRequest("default", id)));
    expect(requests[0]?.input.document_ids[0]).toMatch(/^doc_/);
    expect(requests[1]?.input.document_ids[0]).toBe(requests[0]?.input.document_ids[0]);
  });

  it("accepts a prompt that fills the model to its last token", async () => {
    const job = await submit({ document: { text: words(88) }, question: "q", max_tokens: 10 });
    expect(job.progress.prompt_tokens).toBe(90);
  });
});

describe("POST /v1/jobs: 400", () => {
  it.each([
    ["a missing document", { question: "q" }, "document", /is missing: give an object/],
    ["a document of nothing", { document: {}, question: "q" }, "document", /either `text` or `id`/],
    ["a document of both kinds", { document: { text: "a", id: "b" }, question: "q" }, "document", /either/],
    ["an empty text", { document: { text: "" }, question: "q" }, "document.text", /must not be empty\.$/],
    ["no question", { document: { text: "a" } }, "question", /`prompt` must be given/],
    ["question and questions", { ...JOB, questions: ["q"] }, "questions", /beside `question`/],
    ["no questions", { document: { text: "a" }, questions: [] }, "questions", /must not be empty\.$/],
    ["a question that is no text", { document: { text: "a" }, questions: ["q", 7] }, "questions[1]", /be a string/],
    ["a misspelt field", { ...JOB, max_token: 7 }, "max_token", /not a known field: remove it/],
    ["a misspelt field inside", { ...JOB, document: { text: "a", txt: "b" } }, "document.txt", /not a known field/],
    ["half a token", { ...JOB, max_tokens: 1.5 }, "max_tokens", /must be an integer/],
    ["no tokens", { ...JOB, max_tokens: 0 }, "max_tokens", /must be at least 1/],
    ["a hot temperature", { ...JOB, temperature: 3 }, "temperature", /must be at most 2/],
    ["top_p of 0", { ...JOB, top_p: 0 }, "top_p", /must be greater than 0/],
    [
      "a priority that is none",
      { ...JOB, priority: "urgent" },
      "priority",
      /must be one of `high`, `normal`, `low`\.$/,
    ],
    [
      "a webhook that has no address",
      { ...JOB, webhook: { url: "here" } },
      "webhook.url",
      /must be an address, such as/,
    ],
    ["an array", [JOB], "body", /must be an object/],
  ])("refuses %s", async (_, body, field, detail) => {
    const problem = await refuse(body);
    expect(problem).toMatchObject({ status: 400, code: "invalid_request", field });
    expect(problem.detail).toMatch(detail);
  });

  it("names every offending field at once", async () => {
    const { errors, detail } = await refuse({ ...JOB, top_p: 2, seed: -1 });
    expect(errors?.map(({ field }) => field)).toEqual(["top_p", "seed"]);
    expect(detail).toContain("and 1 more");
  });

  it("says where JSON breaks, without quoting it", async () => {
    const trailingComma = await refuse('{"question": "secret",}');
    expect(trailingComma).toMatchObject({ status: 400, code: "malformed_json" });
    expect(trailingComma.detail).toContain("it breaks at position 22 (line 1 column 23)");
    expect(trailingComma.detail).not.toContain("secret");
    expect((await refuse('{"question": secret}')).detail).not.toContain("secret");
  });

  it.each([
    ["", "The body is empty: send one JSON object."],
    ['{"question": ', "The body is not valid JSON: it ends too early; send one JSON object."],
  ])("refuses %j as JSON that is not there, or not all of it", async (body, detail) => {
    expect(await refuse(body)).toMatchObject({ status: 400, code: "malformed_json", detail });
  });

  it("refuses a prompt over the model's limit with each question's exact count and what would fit", async () => {
    const problem = await refuse({ document: { text: words(90) }, questions: ["q", words(5)], max_tokens: 10 });
    expect(problem).toMatchObject({
      code: "context_overflow",
      field: "max_tokens",
      prompt_tokens: 96,
      max_tokens: 10,
      limit_tokens: 100,
      questions: [
        { index: 0, prompt_tokens: 92, excess_tokens: 2 },
        { index: 1, prompt_tokens: 96, excess_tokens: 6 },
      ],
      detail:
        "The longest prompt is 96 tokens, and with max_tokens 10 makes 106; words takes 100: " +
        "shorten the document by 6 tokens, or set max_tokens to 4 or less.",
    });
  });

  it("does not offer to shorten a prompt by more than it has", async () => {
    const { detail } = await refuse({ ...JOB, max_tokens: 5_000 });
    expect(detail).toMatch(/words takes 100: set max_tokens to 91 or less\.$/);
    const { detail: both } = await refuse({ ...JOB, document: { text: words(200) }, max_tokens: 5_000 });
    expect(both).toMatch(/words takes 100: lower both\.$/);
  });

  it("does not offer a smaller max_tokens where the prompt alone is too long", async () => {
    const problem = await refuse({ document: { text: words(2000) }, questions: ["q", "q"], max_tokens: 1 });
    expect(problem).toMatchObject({ code: "context_overflow", field: "document", prompt_tokens: 2002 });
    expect(problem.questions).toEqual([{ index: 0, prompt_tokens: 2002, excess_tokens: 1903 }]);
    expect(problem.detail).toMatch(/: shorten the document by 1,903 tokens\.$/);
  });

  it("stores nothing of a job it refuses", async () => {
    await using own = await openTestApp();
    await own.post("/v1/jobs", { document: { text: words(200) }, question: "q" });
    expect(await own.state.objects.list("t/")).toEqual([]);
  });
});

describe("POST /v1/jobs: 404", () => {
  it("names the model that is served", async () => {
    const problem = await refuse({ ...JOB, model: "gpt" });
    expect(problem).toMatchObject({ status: 404, code: "model_not_found", field: "model" });
    expect(problem.detail).toContain("use `words`");
  });

  it("does not know a document that was never sent", async () => {
    const problem = await refuse({ document: { id: "doc_none" }, question: "q" });
    expect(problem).toMatchObject({ status: 404, code: "document_not_found", field: "document.id" });
  });
});

describe("POST /v1/jobs: 415", () => {
  it.each(["text/plain", "application/x-www-form-urlencoded", "application/jsonp"])("refuses %s", async (type) => {
    const problem = await refuse("{}", type);
    expect(problem).toMatchObject({ status: 415, code: "unsupported_media_type" });
    expect(problem.detail).toBe(`The content type is \`${type}\`: send application/json.`);
  });

  it("refuses a body without a type", async () => {
    const response = await app.app.request("/v1/jobs", { method: "POST", body: new TextEncoder().encode("{}") });
    expect((await readProblem(response)).detail).toContain("missing");
  });
});

describe("GET /v1/jobs/{id}: 200", () => {
  it("shows the progress that the worker wrote", async () => {
    const { id } = await submit();
    const held = await app.claim(id);
    await app.state.jobs.renew(held, { ...held.state.progress, prefill_tokens: 5, generated_tokens: 2 });
    const job = await readJson(Job, await app.get(`/v1/jobs/${id}`));
    expect(job).toMatchObject({
      status: "running",
      attempt: 1,
      progress: { prompt_tokens: 9, prefill_tokens: 5, generated_tokens: 2 },
      finished_at: null,
    });
    expect(job.started_at).toBeGreaterThanOrEqual(job.created_at);
  });

  it("shows why a job failed", async () => {
    const { id } = await submit();
    const error = { code: "out_of_memory", message: "too long for this worker" };
    await app.state.jobs.settleFailed(await app.claim(id), error);
    const job = await readJson(Job, await app.get(`/v1/jobs/${id}`));
    expect(job).toMatchObject({ status: "failed", error });
    expect(job.finished_at).not.toBeNull();
  });
});

describe("GET /v1/jobs/{id}: 404", () => {
  it.each(["nope", "..%2F..%2Fsecret", "%00", "a".repeat(500)])("does not know %s", async (id) => {
    const problem = { status: 404, code: "job_not_found" };
    expect(await readProblem(await app.get(`/v1/jobs/${id}`))).toMatchObject(problem);
    expect(await readProblem(await app.get(`/v1/jobs/${id}/result`))).toMatchObject(problem);
  });
});

describe("GET /v1/jobs/{id}/result: 200", () => {
  it("gives the result as it was written", async () => {
    const { id } = await submit();
    const answer = {
      question: JOB.question,
      answer: "up",
      finish_reason: "stop" as const,
      usage: usage(9, 1),
      timings: { queue_ms: 1, prefill_ms: 2, decode_ms: 3 },
      cache: { device_bytes: 4, host_bytes: 5, full_bytes: 6, hit_rate: 0.7 },
    };
    const result = {
      object: "job.result" as const,
      id,
      model: "words",
      attempt: 1,
      answers: [answer],
      usage: usage(9, 1),
    };
    await app.state.jobs.settleSucceeded(await app.claim(id), result);
    const response = await app.get(`/v1/jobs/${id}/result`);
    expect(response.status).toBe(200);
    expect(await readJson(JobResult, response)).toEqual(result);
  });
});

describe("GET /v1/jobs/{id}/result: 409", () => {
  it("is not ready while the job waits", async () => {
    const { id } = await submit();
    const problem = await readProblem(await app.get(`/v1/jobs/${id}/result`));
    expect(problem).toMatchObject({ status: 409, code: "result_not_ready", job_status: "queued" });
  });

  it("never comes for a job that failed, and says why", async () => {
    const { id } = await submit();
    await app.state.jobs.settleFailed(await app.claim(id), { code: "internal", message: "An internal error." });
    const problem = await readProblem(await app.get(`/v1/jobs/${id}/result`));
    expect(problem).toMatchObject({ code: "job_not_succeeded", job_status: "failed", job_error: { code: "internal" } });
    expect(problem.detail).toContain("An internal error.");
  });
});
