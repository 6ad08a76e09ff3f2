import { expect } from "vitest";
import { BatchOutputLine } from "../../api/contract/batch-line.ts";
import { Batch } from "../../api/contract/batch-resource.ts";
import { File as FileResource } from "../../api/contract/file.ts";
import type { Price } from "../../api/contract/job.ts";
import { limits } from "../../api/contract/limits.ts";
import { openTestApp, readJson, type TestApp } from "./test-app.ts";
import { openTestWorker, type TestWorker } from "./test-worker.ts";

/** A line of a batch that asks a chat of so many words. */
export const chatLine = (customId: string, content = "where is the sun", body: object = {}) => ({
  custom_id: customId,
  method: "POST",
  url: "/v1/chat/completions",
  body: { model: "words", messages: [{ role: "user", content }], max_tokens: 10, ...body },
});

export const chatLines = (count: number) => Array.from({ length: count }, (_, index) => chatLine(`line-${index + 1}`));

const toFile = (lines: readonly unknown[]): string =>
  lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join("");

export async function uploadLines(test: TestApp, lines: readonly unknown[]): Promise<FileResource> {
  const form = new FormData();
  form.append("file", new Blob([toFile(lines)]), "in.jsonl");
  form.append("purpose", "batch");
  return readJson(FileResource, await test.app.request("/v1/files", { method: "POST", body: form }));
}

export async function createBatch(test: TestApp, lines: readonly unknown[], asked: object = {}): Promise<Batch> {
  const { id } = await uploadLines(test, lines);
  const body = { input_file_id: id, endpoint: "/v1/chat/completions", completion_window: "24h", ...asked };
  const response = await test.post("/v1/batches", body);
  expect(response.status).toBe(200);
  return readJson(Batch, response);
}

export const getBatch = async (test: TestApp, id: string): Promise<Batch> =>
  readJson(Batch, await test.get(`/v1/batches/${id}`));

const parse = (text: string): BatchOutputLine[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => BatchOutputLine.parse(JSON.parse(line)));

export const readLines = async (test: TestApp, file: string | undefined): Promise<BatchOutputLine[]> =>
  file === undefined ? [] : parse(await (await test.get(`/v1/files/${file}/content`)).text());

export async function readResults(test: TestApp, id: string, after?: string) {
  const response = await test.get(`/v1/batches/${id}/results${after === undefined ? "" : `?after=${after}`}`);
  expect(response.status).toBe(200);
  return { lines: parse(await response.text()), cursor: response.headers.get("x-next-cursor") ?? "" };
}

/** The app, and a worker whose engine a test moves, on the same state. */
export async function openTestService({
  price = null,
  ...options
}: Parameters<typeof openTestWorker>[0] & { price?: Price | null } = {}) {
  let worker: TestWorker = await openTestWorker(options);
  const { state } = worker;
  const test = await openTestApp({ state, price });
  const deliver = async () => worker.deliver(await worker.receive());
  return {
    ...test,
    get worker() {
      return worker;
    },
    /** Takes the next message to its end; for validation, and for shards of which nothing is left to run. */
    work: async (): Promise<void> => (await deliver()).done,
    /** Starts on the next message. Its end is a promise of its own: an await would wait for it. */
    begin: async (): Promise<{ done: Promise<void> }> => ({ done: (await deliver()).done }),
    /** The worker is never heard of again; when its leases have ended, another is there. */
    async die(): Promise<void> {
      worker.die();
      state.advance(limits.leaseMs + limits.visibilityMs);
      worker = await openTestWorker({ ...options, state });
    },
    [Symbol.asyncDispose]: () => state[Symbol.asyncDispose](),
  };
}
