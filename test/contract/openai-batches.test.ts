// Files and batches by OpenAI's own client, unmodified, against a running service: the one at GNOMON_URL, with the API
// key GNOMON_API_KEY, or one of our own.
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BatchOutputLine } from "../../api/contract/batch-line.ts";
import { startRealService } from "../support/real-service.ts";

const PATIENCE_MS = 120_000;
const given = process.env.GNOMON_URL;
const apiKey = process.env.GNOMON_API_KEY ?? "sk-any";

let service: Awaited<ReturnType<typeof startRealService>> | undefined;
let client: OpenAI;
let model: string;
beforeAll(async () => {
  if (given === undefined) service = await startRealService();
  client = new OpenAI({ baseURL: `${given ?? service?.url}/v1`, apiKey });
  model = (await client.models.list()).data[0]?.id ?? "";
});
afterAll(() => service?.[Symbol.asyncDispose]());

const line = (custom_id: string, content: string, body: object = {}) => ({
  custom_id,
  method: "POST",
  url: "/v1/chat/completions",
  body: { model, messages: [{ role: "user", content }], max_tokens: 32, temperature: 0, ...body },
});

const ask = (contract: string, day: number) =>
  `Contract ${contract} expires on ${day} May 2030.\n\nWhen does contract ${contract} expire?`;

const upload = async (lines: readonly object[]) =>
  client.files.create({
    file: await toFile(Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join("")), "in.jsonl"),
    purpose: "batch",
  });

const start = async (lines: readonly object[]) =>
  client.batches.create({
    input_file_id: (await upload(lines)).id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
    metadata: { from: "a test" },
  });

/** As a client waits for it. */
async function untilOver(id: string): Promise<OpenAI.Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(id);
    if (["completed", "failed", "expired", "cancelled"].includes(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

const readLines = async (file: string | undefined): Promise<BatchOutputLine[]> =>
  file === undefined
    ? []
    : (await (await client.files.content(file)).text())
        .split("\n")
        .filter((text) => text !== "")
        .map((text) => BatchOutputLine.parse(JSON.parse(text)));

describe("a file", () => {
  it("is stored, listed, read and deleted", async () => {
    const lines = [line("a", "x")];
    const file = await upload(lines);
    expect(file).toMatchObject({ object: "file", purpose: "batch", filename: "in.jsonl" });
    expect(await client.files.retrieve(file.id)).toEqual(file);
    expect(await (await client.files.content(file.id)).text()).toBe(`${JSON.stringify(lines[0])}\n`);
    const listed: string[] = [];
    for await (const { id } of client.files.list({ purpose: "batch" })) listed.push(id);
    expect(listed).toContain(file.id);
    expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: "file", deleted: true });
    await expect(client.files.retrieve(file.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it("is refused for another purpose, in words that the client understands", async () => {
    const file = await toFile(Buffer.from("{}"), "in.jsonl");
    await expect(client.files.create({ file, purpose: "vision" })).rejects.toMatchObject({
      status: 400,
      param: "purpose",
    });
  });
});

describe("a batch", () => {
  it("answers every line, with exact counts", { timeout: PATIENCE_MS }, async () => {
    const lines = Array.from({ length: 5 }, (_, index) => line(`line-${index}`, ask(`AB-123${index}`, index + 1)));
    const made = await start(lines);
    expect(made).toMatchObject({ object: "batch", completion_window: "24h", metadata: { from: "a test" } });
    const batch = await untilOver(made.id);
    expect(batch).toMatchObject({ status: "completed", request_counts: { total: 5, completed: 5, failed: 0 } });
    const results = await readLines(batch.output_file_id);
    expect(results.map(({ custom_id }) => custom_id).sort()).toEqual(lines.map(({ custom_id }) => custom_id));
    const answers = results.map(({ response }) => response?.body as unknown as OpenAI.ChatCompletion);
    const sum = (of: "prompt_tokens" | "completion_tokens") =>
      answers.reduce((total, { usage }) => total + (usage?.[of] ?? 0), 0);
    expect(batch.usage).toMatchObject({
      input_tokens: sum("prompt_tokens"),
      output_tokens: sum("completion_tokens"),
      total_tokens: sum("prompt_tokens") + sum("completion_tokens"),
    });
    if (given === undefined) {
      const second = results.find(({ custom_id }) => custom_id === "line-1");
      const chat = second?.response?.body as unknown as OpenAI.ChatCompletion;
      expect(chat.choices[0]?.message.content).toBe("Contract AB-1231 expires on 2 May 2030.");
    }
    const listed: string[] = [];
    for await (const { id } of client.batches.list({ limit: 1 })) listed.push(id);
    expect(listed).toContain(batch.id);
  });

  it("fails before anything runs, and names the lines", { timeout: PATIENCE_MS }, async () => {
    const batch = await untilOver((await start([line("a", "x"), line("a", "x"), line("b", "x", { n: 2 })])).id);
    expect(batch.status).toBe("failed");
    expect(batch.errors?.data).toMatchObject([
      { code: "duplicate_custom_id", line: 2 },
      { code: "invalid_request", line: 3, param: "body.n" },
    ]);
  });

  it("answers the lines beside one that is not valid", { timeout: PATIENCE_MS }, async () => {
    const batch = await untilOver((await start([line("a", "x"), line("b", "x", { n: 2 })])).id);
    expect(batch).toMatchObject({ status: "completed", request_counts: { total: 2, completed: 1, failed: 1 } });
    expect(await readLines(batch.output_file_id)).toMatchObject([{ custom_id: "a" }]);
    expect(await readLines(batch.error_file_id)).toMatchObject([
      { custom_id: "b", error: { code: "invalid_request" } },
    ]);
  });

  it("is cancelled, and keeps what it answered", { timeout: PATIENCE_MS }, async () => {
    const lines = Array.from({ length: 100 }, (_, index) => line(`line-${index}`, ask(`AB-${1000 + index}`, 3)));
    const { id } = await start(lines);
    const cancelled = await client.batches.cancel(id);
    expect(["cancelling", "cancelled"]).toContain(cancelled.status);
    const batch = await untilOver(id);
    expect(batch.status).toBe("cancelled");
    const { total = 0, completed = 0, failed = 0 } = batch.request_counts ?? {};
    expect(completed + failed).toBe(total);
    expect(await readLines(batch.output_file_id)).toHaveLength(completed);
  });

  it("is refused in words that the client understands", async () => {
    const { id } = await upload([line("a", "x")]);
    const asked = { input_file_id: id, endpoint: "/v1/embeddings", completion_window: "24h" } as const;
    await expect(client.batches.create(asked)).rejects.toMatchObject({ status: 400, param: "endpoint" });
    await expect(client.batches.retrieve("batch_none")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    const chat = { ...asked, endpoint: "/v1/chat/completions", input_file_id: "file-none" } as const;
    await expect(client.batches.create(chat)).rejects.toMatchObject({ status: 404, param: "input_file_id" });
  });
});
