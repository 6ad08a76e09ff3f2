import { afterEach, beforeEach, expect, test } from "vitest";
import { createClient } from "../../../api/client/client.ts";
import { ProblemError } from "../../../api/client/problem-error.ts";
import type { Job } from "../../../api/contract/job-resource.ts";
import { jobResult } from "../../support/job-fixtures.ts";
import { openTestApp, type TestApp } from "../../support/test-app.ts";

const question = { document: { text: "the sun is up" }, question: "where is the sun", max_tokens: 5 };

let app: TestApp;
let sent: { method: string; path: string; key: string | null }[];
/** Answers that get lost: the request has its effect, and its sender hears nothing. */
let lost: number;

/** `fetch` of the app itself, without a socket. */
const fetchApp: typeof fetch = async (input, init) => {
  const request = new Request(input, init);
  const path = new URL(request.url).pathname;
  sent.push({ method: request.method, path, key: request.headers.get("idempotency-key") });
  const response = await app.app.request(request);
  if (lost-- > 0) throw new TypeError("fetch failed");
  return response;
};

beforeEach(async () => {
  app = await openTestApp();
  sent = [];
  lost = 0;
});
afterEach(() => app[Symbol.asyncDispose]());

const open = (apiKey?: string) => createClient("http://localhost", { fetch: fetchApp, apiKey });
const succeed = async ({ id }: Job) =>
  app.state.jobs.settleSucceeded(await app.claim(id), jobResult(id, 1, "in the sky"));

test("submit and wait is one awaitable, with every look at the job", async () => {
  const looks: string[] = [];
  const { job, result } = await open().ask(question, {
    pollMs: 10,
    onProgress: (look) => {
      looks.push(look.status);
      if (looks.length === 1) void succeed(look);
    },
  });
  expect(job.status).toBe("succeeded");
  expect(result.answers[0]?.answer).toBe("in the sky");
  expect(looks[0]).toBe("queued");
  expect(looks.at(-1)).toBe("succeeded");
});

test("aborting ends the wait, and the job", async () => {
  const stop = new AbortController();
  let id = "";
  const asked = open().ask(question, {
    signal: stop.signal,
    onProgress: (job) => {
      id = job.id;
      stop.abort(new Error("enough"));
    },
  });
  await expect(asked).rejects.toThrow("enough");
  expect((await app.state.jobs.get("default", id))?.status).toBe("cancelled");
});

test("a job that fails rejects with what it failed of", async () => {
  const asked = open().ask(question, {
    pollMs: 10,
    onProgress: (job) => {
      const fail = async () =>
        app.state.jobs.settleFailed(await app.claim(job.id), { code: "engine_failed", message: "The engine failed." });
      if (job.status === "queued") void fail();
    },
  });
  await expect(asked).rejects.toThrow(/^Job job_\S+ failed: The engine failed\.$/);
});

test("a submit whose answer was lost is sent again and makes one job", async () => {
  lost = 2;
  const job = await open().submit(question);
  const submits = sent.filter(({ path }) => path === "/v1/jobs");
  expect(submits.length).toBe(3);
  expect(new Set(submits.map(({ key }) => key)).size).toBe(1);
  const listed = await (await open().routes.v1.jobs.$get({ query: {} })).json();
  expect(listed).toMatchObject({ data: [{ id: job.id }] });
});

test("a refusal is an error with the service's own words and numbers", async () => {
  const error = await open()
    .submit({ ...question, max_tokens: 5000 })
    .then(
      () => null,
      (thrown: unknown) => thrown,
    );
  expect(error).toBeInstanceOf(ProblemError);
  expect(error).toMatchObject({ code: "context_overflow", status: 400, problem: { limit_tokens: 100 } });
  expect(sent.length).toBe(1);
});

test("documents go as text, as a file or as a stream, with the key", async () => {
  const { key, id } = await app.makeKey("acme", ["submit"]);
  const client = open(key);
  const texts = await Promise.all([
    client.sendDocument("one text"),
    client.sendDocument(new Blob(["one text"])),
    client.sendDocument(new Blob(["one text"]).stream(), "text/markdown"),
  ]);
  expect(new Set(texts.map((document) => document.id)).size).toBe(1);
  expect((await client.sendDocument("<p>page", "text/html")).text_bytes).toBe(4);
  expect(app.logged.map(({ fields }) => fields)).toContainEqual(
    expect.objectContaining({ tenant: "acme", key: id, path: "/v1/documents" }),
  );
});
