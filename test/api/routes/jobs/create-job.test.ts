import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Job } from "../../../../api/contract/job-resource.ts";
import { keys } from "../../../../api/contract/keys.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const JOB = { document: { text: "the sun is up" }, question: "where is the sun", max_tokens: 10 };
const send = (body: object, key: string) => app.post("/v1/jobs", body, "application/json", { "Idempotency-Key": key });
const refuse = async (body: object) => readProblem(await app.post("/v1/jobs", { max_tokens: 10, ...body }));
const requestOf = (id: string) => app.state.jobs.getRequest("default", id);

describe("POST /v1/jobs: 202", () => {
  it("reads several documents one after the other", async () => {
    const job = await app.submit({ document: undefined, documents: [{ text: "the sun" }, { text: "is up" }] });
    expect(job.progress.prompt_tokens).toBe(9);
    expect((await requestOf(job.id))?.input.document_ids).toHaveLength(2);
  });

  it("takes a conversation, with and without documents", async () => {
    const messages = [
      { role: "system", content: "be brief" },
      { role: "user", content: "why" },
    ];
    expect((await app.submit({ document: undefined, messages })).progress.prompt_tokens).toBe(4);
    const job = await app.submit({ messages });
    expect(job.progress.prompt_tokens).toBe(8);
    expect((await requestOf(job.id))?.input).toMatchObject({ kind: "messages", messages });
  });

  it("takes a bare prompt", async () => {
    const job = await app.submit({ document: undefined, prompt: "once upon a time" });
    expect(job.progress).toMatchObject({ prompt_tokens: 5, questions_total: 1 });
    expect((await requestOf(job.id))?.input).toEqual({ kind: "prompt", document_ids: [], prompt: "once upon a time" });
  });

  it("keeps priority, deadline, life, webhook and metadata", async () => {
    const deliverBy = Math.round(Date.now() / 1000) + 3600;
    const job = await app.submit({
      priority: "high",
      deliver_by: deliverBy,
      ttl_seconds: 600,
      webhook: { url: "https://example.com/hook", events: ["job.succeeded"] },
      metadata: { ward: "7" },
    });
    expect(job).toMatchObject({
      priority: "high",
      deliver_by: deliverBy,
      webhook: { url: "https://example.com/hook", events: ["job.succeeded"] },
      metadata: { ward: "7" },
    });
    expect((job.expires_at ?? 0) - job.created_at).toBe(600);
  });

  it("keeps what says how tokens are chosen", async () => {
    const told = {
      ...{ temperature: 0.7, top_p: 0.9, top_k: 40, min_p: 0.05, seed: 11 },
      ...{ repetition_penalty: 1.1, presence_penalty: 0.5, frequency_penalty: -0.5 },
      ...{ stop: ["END", "\n\n"], ignore_eos: true, logprobs: true, top_logprobs: 20 },
    };
    expect(await requestOf((await app.submit(told)).id)).toMatchObject(told);
    expect(await requestOf((await app.submit({ stop: "END" })).id)).toMatchObject({ stop: ["END"], logprobs: false });
  });

  it("shares a cap on all tokens out among the answers", async () => {
    const job = await app.submit({ questions: ["why", "where is it"], max_total_tokens: 23 });
    expect(job.progress.prompt_tokens).toBe(6 + 8);
    expect((await requestOf(job.id))?.max_tokens).toBe(4);
  });
});

describe("POST /v1/jobs with Idempotency-Key", () => {
  it("gives the same job for the same key and body, and does not queue it again", async () => {
    await using own = await openTestApp();
    const post = () => own.post("/v1/jobs", JOB, "application/json", { "Idempotency-Key": '"k-1"' });
    const [first, second] = [await post(), await post()];
    const [a, b] = [await readJson(Job, first), await readJson(Job, second)];
    expect([first.status, second.status]).toEqual([202, 200]);
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect(second.headers.get("location")).toBe(`/v1/jobs/${a.id}`);
    expect(b.id).toBe(a.id);
    expect(await own.state.queue.receive({ max: 10, waitMs: 0, visibilityMs: 1 })).toHaveLength(1);
  });

  it("takes a quoted key and the same bare key for one", async () => {
    const a = await readJson(Job, await send(JOB, '"k-2"'));
    expect((await readJson(Job, await send(JOB, "k-2"))).id).toBe(a.id);
  });

  it("makes one job of many requests at once", async () => {
    const responses = await Promise.all(Array.from({ length: 10 }, () => send(JOB, "k-3")));
    const statuses = responses.map(({ status }) => status).filter((status) => status !== 409);
    expect(statuses.filter((status) => status === 202)).toHaveLength(1);
    expect(statuses.filter((status) => status === 200)).toHaveLength(statuses.length - 1);
    const job = await readJson(Job, await send(JOB, "k-3"));
    const { data } = (await (await app.get("/v1/jobs?limit=100")).json()) as { data: Job[] };
    expect(data.filter(({ created_at }) => created_at === job.created_at)).toHaveLength(1);
  });

  it("can be used again once its job was deleted", async () => {
    const { id } = await readJson(Job, await send(JOB, "k-4"));
    await app.post(`/v1/jobs/${id}/cancel`, "");
    await app.delete(`/v1/jobs/${id}`);
    const again = await send({ ...JOB, question: "another" }, "k-4");
    expect(again.status).toBe(202);
  });

  it("422: refuses the key of another body", async () => {
    await send(JOB, "k-5");
    const problem = await readProblem(await send({ ...JOB, question: "another" }, "k-5"));
    expect(problem).toMatchObject({ status: 422, code: "idempotency_mismatch" });
  });

  it("409: says so while the first request is still at it", async () => {
    const hash = "9f7b3a14f1e2b8ba6cd6d8bc1e1c0a8b";
    const body = { document: { text: "a" }, question: "q", max_tokens: 10 };
    const first = await send(body, "k-6");
    const { id } = await readJson(Job, first);
    // As it is between the key's record and the job's state.
    const stored = (await requestOf(id))?.idempotency_hash ?? hash;
    await app.state.objects.delete(keys.jobState("default", id));
    expect(await app.state.objects.get(keys.idempotency("default", stored))).not.toBeNull();
    const response = await send(body, "k-6");
    expect(response.headers.get("retry-after")).toBe("1");
    expect(await readProblem(response)).toMatchObject({ status: 409, code: "idempotency_in_progress" });
  });

  it.each(["", '""', "ü", "x".repeat(256)])("400: refuses the key %j", async (key) => {
    const response = await app.app.request("/v1/jobs", {
      method: "POST",
      body: JSON.stringify(JOB),
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    });
    expect(await readProblem(response)).toMatchObject({ status: 400, code: "idempotency_key_invalid" });
  });
});

describe("POST /v1/jobs: 400", () => {
  it.each([
    ["a question of no document", { question: "q" }, "document", /is missing/],
    ["a prompt with a document", { document: { text: "a" }, prompt: "b" }, "prompt", /without a document/],
    ["messages beside a prompt", { messages: [{ role: "user", content: "a" }], prompt: "b" }, "prompt", /choose one/],
    ["document and documents", { ...JOB, documents: [{ text: "b" }] }, "documents", /choose one/],
    ["an unknown role", { messages: [{ role: "tool", content: "a" }] }, "messages[0].role", /./],
    ["an unknown priority", { ...JOB, priority: "urgent" }, "priority", /./],
    ["an empty stop string", { ...JOB, stop: [""] }, "stop[0]", /must not be empty\.$/],
    ["too many stop strings", { ...JOB, stop: Array.from("abcdefghijklmnopq") }, "stop", /at most 16/],
    ["alternatives without logprobs", { ...JOB, top_logprobs: 2 }, "top_logprobs", /needs `logprobs`/],
    ["too many alternatives", { ...JOB, logprobs: true, top_logprobs: 21 }, "top_logprobs", /at most 20/],
    ["a penalty out of range", { ...JOB, presence_penalty: -3 }, "presence_penalty", /at least -2/],
    ["another one", { ...JOB, frequency_penalty: 3 }, "frequency_penalty", /at most 2/],
    ["no repetition penalty at all", { ...JOB, repetition_penalty: 0 }, "repetition_penalty", /at least 0.01/],
    ["a share above one", { ...JOB, min_p: 2 }, "min_p", /at most 1/],
    ["a negative seed", { ...JOB, seed: -1 }, "seed", /at least 0/],
    ["no life at all", { ...JOB, ttl_seconds: 0 }, "ttl_seconds", /at least 1/],
    [
      "an event that does not exist",
      { ...JOB, webhook: { url: "https://a.b", events: ["job.x"] } },
      "webhook.events[0]",
      /./,
    ],
    ["a webhook that is no web address", { ...JOB, webhook: { url: "ftp://a.b" } }, "webhook.url", /./],
    [
      "17 pairs of metadata",
      { ...JOB, metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, "v"])) },
      "metadata",
      /16 pairs/,
    ],
    ["a deadline that has passed", { ...JOB, deliver_by: 1 }, "deliver_by", /has passed/],
    ["a deadline in milliseconds", { ...JOB, deliver_by: 1e15 }, "deliver_by", /at most 253402300799/],
  ])("refuses %s", async (_, body, field, detail) => {
    const problem = await refuse(body);
    expect(problem).toMatchObject({ status: 400, code: "invalid_request", field });
    expect(problem.detail).toMatch(detail);
  });

  it("refuses a cap that leaves no token for an answer, and says what it takes", async () => {
    expect(await refuse({ ...JOB, max_total_tokens: 9 })).toMatchObject({
      code: "budget_exceeded",
      field: "max_total_tokens",
      needed_tokens: 10,
    });
  });

  it("names the field that makes a conversation too long", async () => {
    const content = Array.from({ length: 120 }, () => "word").join(" ");
    const problem = await refuse({ messages: [{ role: "user", content }] });
    expect(problem).toMatchObject({ code: "context_overflow", field: "messages" });
  });
});
