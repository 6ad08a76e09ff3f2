import { appendFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createClient } from "../../../api/client/client.ts";
import { openWatched } from "../../../api/client/command/watched-file.ts";
import { createRetryingFetch, type RetryOptions } from "../../../api/client/retrying-fetch.ts";
import { runGnomon } from "../../support/command.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(code, headers).end();
const json: Answer = (_, response) =>
  void response.writeHead(200, { "Content-Type": "application/json" }).end('{"data": []}');
const reset: Answer = (request) => request.socket.resetAndDestroy();
const brokenOff: Answer = (request, response) => {
  response.writeHead(200, { "Content-Type": "application/json", "Content-Length": "12" });
  response.write('{"data"', () => request.socket.destroy());
};

/** One for each request; the last one stays. */
let answers: Answer[];
let requests: { method: string; key: string | undefined; body: string; atMs: number }[];
let url: string;
const server = createServer((request, response) => void serve(request, response));

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request);
  const { method = "", headers } = request;
  requests.push({ method, key: headers["idempotency-key"] as string | undefined, body, atMs: performance.now() });
  const answer = answers.length > 1 ? answers.shift() : answers[0];
  answer?.(request, response);
}

beforeEach(async () => {
  requests = [];
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  return new Promise((resolve) => void server.close(resolve));
});

const open = (options: RetryOptions = {}) => createRetryingFetch({ fetch }, { firstWaitMs: 5, ...options });

describe("what is tried again", () => {
  test.each([
    ["429", status(429)],
    ["502", status(502)],
    ["503", status(503)],
    ["504", status(504)],
    ["a connection that is reset", reset],
    ["an answer that breaks off", brokenOff],
  ])("%s", async (_, failure) => {
    answers = [failure, failure, json];
    const response = await open()(`${url}/v1/jobs`);
    expect(await response.json()).toEqual({ data: [] });
    expect(requests.length).toBe(3);
  });

  test.each([400, 401, 404, 409, 422, 500])("a %i is not", async (code) => {
    answers = [status(code)];
    expect((await open()(`${url}/v1/jobs`)).status).toBe(code);
    expect(requests.length).toBe(1);
  });

  test("a POST is not, unless a key or its route makes the second one harmless", async () => {
    answers = [status(429)];
    const post = (path: string, init: RequestInit = {}) => open()(`${url}${path}`, { method: "POST", ...init });
    await post("/v1/keys");
    expect(requests.length).toBe(1);
    answers = [status(429), json];
    await post("/v1/jobs/job_1/cancel");
    expect(requests.length).toBe(3);
    answers = [status(429), json];
    await post("/v1/jobs", { headers: { "Idempotency-Key": '"a"' }, body: "same" });
    expect(requests.slice(3)).toMatchObject([
      { key: '"a"', body: "same" },
      { key: '"a"', body: "same" },
    ]);
  });

  test("a file is read again from its start, and a form with one as well", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "minutes.txt");
    await writeFile(path, "the sun is up");
    const sent: number[] = [];
    const file = await openWatched(path, "minutes.txt", (bytes) => void sent.push(bytes));
    answers = [reset, status(503), json];
    await open()(`${url}/v1/documents`, { method: "POST", body: file });
    expect(requests.map(({ body }) => body)).toEqual(["the sun is up", "the sun is up", "the sun is up"]);
    expect(sent).toEqual([13, 13, 13]);
    const form = new FormData();
    form.append("file", file);
    answers = [reset, json];
    await open()(`${url}/v1/files`, { method: "POST", body: form });
    expect(requests.slice(3).map(({ body }) => body.match(/the sun is up/g)?.length)).toEqual([1, 1]);
  });

  test("a file that was changed since it was opened is given up at once", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "minutes.txt");
    await writeFile(path, "the sun is up");
    const file = await openWatched(path, "minutes.txt", () => {});
    await appendFile(path, " and the moon");
    const waits: unknown[] = [];
    const post = open({ onRetry: (failed) => void waits.push(failed) });
    const sending = post(`${url}/v1/documents`, { method: "POST", body: file });
    await expect(sending).rejects.toMatchObject({ name: "NotReadableError" });
    expect(waits).toEqual([]);
  });

  test("a stream is sent once, as nothing is left of it", async () => {
    answers = [status(503)];
    const init = { method: "POST", body: new Blob(["text"]).stream(), duplex: "half" } as RequestInit;
    expect((await open()(`${url}/v1/documents`, init)).status).toBe(503);
    expect(requests.length).toBe(1);
  });
});

describe("how long it waits", () => {
  test("not less than Retry-After says, in seconds or as a date", async () => {
    const soon = new Date(Date.now() + 2_000).toUTCString();
    answers = [status(429, { "Retry-After": "1" }), status(503, { "Retry-After": soon }), json];
    const waits: number[] = [];
    await open({ onRetry: ({ waitMs }) => void waits.push(waitMs) })(`${url}/v1/jobs`);
    const [first, second, third] = requests.map(({ atMs }) => atMs) as [number, number, number];
    expect(waits[0]).toBeGreaterThanOrEqual(1_000);
    // Timers may be a millisecond early.
    expect(second - first).toBeGreaterThanOrEqual(998);
    expect(third - second).toBeGreaterThanOrEqual((waits[1] ?? 0) - 2);
  });

  test("else up to twice as long each time, anything below that being as likely", async () => {
    answers = [status(503)];
    const waits: number[] = [];
    const once = createRetryingFetch(
      { fetch, random: () => 0.5 },
      { firstWaitMs: 4, maxRetries: 3, onRetry: ({ waitMs }) => void waits.push(waitMs) },
    );
    await once(`${url}/v1/jobs`);
    expect(waits).toEqual([2, 4, 8]);
  });

  test("as long as its time lasts: the refusal is the answer then, at once", async () => {
    answers = [status(429, { "Retry-After": "3600" })];
    const given: unknown[] = [];
    const response = await open({ onGiveUp: (failed) => void given.push(failed) })(`${url}/v1/jobs`);
    expect(response.status).toBe(429);
    expect(given).toEqual([{ status: 429, tries: 1, waitMs: 3_600_000 }]);
  });

  test("until its caller has had enough", async () => {
    answers = [status(429, { "Retry-After": "60" })];
    const stop = new AbortController();
    const asked = open({ onRetry: () => stop.abort(new Error("enough")) })(`${url}/v1/jobs`, { signal: stop.signal });
    await expect(asked).rejects.toThrow("enough");
  });
});

test("the client tries again by itself, and rejects with what it was refused with when that does not help", async () => {
  answers = [status(429), status(503), json];
  const response = await createClient(url, { firstWaitMs: 5 }).routes.v1.jobs.$get({ query: {} });
  expect(await response.json()).toEqual({ data: [] });
  answers = [status(429)];
  const refused = createClient(url, { firstWaitMs: 1, maxRetries: 2 }).get("job_1");
  await expect(refused).rejects.toMatchObject({ name: "ProblemError", status: 429 });
  expect(requests.length).toBe(6);
});

test("the command says what it waits for, and has its own exit status when it gives up", async () => {
  answers = [status(429, { "Retry-After": "1" }), json];
  const waited = await runGnomon(["status", "--url", url], { fetch });
  expect(waited).toMatchObject({
    status: 0,
    err: expect.stringMatching(/^Rate limited \(429\), next try in [12] s\.\n/),
  });
  answers = [status(429, { "Retry-After": "900" })];
  const gone = await runGnomon(["status", "--url", url], { fetch });
  expect(gone.status).toBe(3);
  expect(gone.err).toContain("It asks to come back in 900 s.");
});
