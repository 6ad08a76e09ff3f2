// `npm run bench:bulk-memory`: what a batch of the most lines, and a file of the most bytes, take of the memory of the api
// and worker processes as they are shipped, step by step, and how long a cancel takes. Options: --lines N, --megabytes N,
// --moto (S3 and SQS of moto instead of embedded state), --json.
import { openAsBlob } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createClient } from "../../api/client/client.ts";
import { type BatchStatus, isBatchOver } from "../../api/contract/batch.ts";
import type { Batch } from "../../api/contract/batch-resource.ts";
import { startService } from "../../infra/local/service.ts";
import { awsBackend } from "../chaos/backend.ts";
import { watchMemory } from "./process-memory.ts";

const { values } = parseArgs({
  options: {
    lines: { type: "string", default: "50000" },
    megabytes: { type: "string", default: "200" },
    moto: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const lineCount = Number(values.lines);
const say = (line: string) => void process.stderr.write(`${line}\n`);

/** A file of so many lines, each with a prompt of so many characters. */
async function writeInput(path: string, model: string, lines: number, characters: number): Promise<void> {
  const filler = "The minutes of the meeting before were read and found to be in order. ";
  const content = filler.repeat(Math.ceil(characters / filler.length)).slice(0, characters);
  const file = await open(path, "w");
  for (let number = 1; number <= lines; number++) {
    const body = { model, messages: [{ role: "user", content: `${number}. ${content}` }], max_tokens: 8 };
    const line = { custom_id: `line-${number}`, method: "POST", url: "/v1/chat/completions", body };
    await file.write(`${JSON.stringify(line)}\n`);
  }
  await file.close();
}

async function countLines(body: ReadableStream<Uint8Array> | null): Promise<{ lines: number; bytes: number }> {
  const seen = { lines: 0, bytes: 0 };
  for await (const chunk of body ?? []) {
    seen.bytes += chunk.length;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) seen.lines += 1;
  }
  return seen;
}

const directory = await mkdtemp(join(tmpdir(), "gnomon-bench-"));
// Of its faults there are none.
const moto = values.moto ? await awsBackend(() => 1, 0) : null;
const service = await startService({
  env: { ...process.env, GNOMON_STATE_DIR: join(directory, "state"), GNOMON_PORT: "0", ...moto?.env },
  onLine: () => {},
  signal: AbortSignal.timeout(120_000),
});
const { batches } = createClient(service.url);
const memory = await watchMemory();
const steps: Record<string, { seconds: number; apiMb: number; workerMb: number }> = {};

/** Does something, and notes how long it took and the most memory meanwhile. */
async function measured<T>(name: string, act: () => Promise<T>): Promise<T> {
  await memory.takePeakMb();
  const begun = performance.now();
  const result = await act();
  const { api: apiMb, worker: workerMb } = await memory.takePeakMb();
  steps[name] = { seconds: Math.round((performance.now() - begun) / 100) / 10, apiMb, workerMb };
  say(`${name.padEnd(10)} ${JSON.stringify(steps[name])}`);
  return result;
}

async function until(id: string, isThere: (batch: Batch) => boolean): Promise<Batch> {
  for (;;) {
    const batch = await batches.get(id);
    if (isThere(batch)) return batch;
    await delay(100);
  }
}

const download = async (file: string | undefined) =>
  countLines((await fetch(`${service.url}/v1/files/${file}/content`)).body);

try {
  await measured("idle", () => delay(1_000));

  const large = join(directory, "large.jsonl");
  // As many bytes as a file may have, of lines that are no batch: they need not be tokenised.
  await writeInput(large, service.model, 1_000, Number(values.megabytes) * 1_000 - 200);
  const file = await measured("upload", async () => batches.upload(new File([await openAsBlob(large)], "large.jsonl")));
  const content = await measured("download", () => download(file.id));
  if (content.bytes !== file.bytes) throw new Error(`${content.bytes} of ${file.bytes} bytes came back`);
  await rm(large);

  const many = join(directory, "many.jsonl");
  await writeInput(many, service.model, lineCount, 40);
  const input = await batches.upload(new File([await openAsBlob(many)], "many.jsonl"));
  const asked = { input_file_id: input.id, endpoint: "/v1/chat/completions", completion_window: "24h" } as const;
  const { id } = await batches.create(asked);
  await measured("validate", () => until(id, ({ status }) => status !== "validating"));
  await measured("run", () => until(id, ({ request_counts }) => request_counts.completed > 0));
  const cancelled = await measured("cancel", async () => {
    await batches.cancel(id);
    return until(id, ({ status }) => isBatchOver(status));
  });
  const { request_counts: counts, status, output_file_id, error_file_id } = cancelled;
  if (status !== ("cancelled" satisfies BatchStatus) || counts.total !== lineCount)
    throw new Error(JSON.stringify(cancelled));
  const output = output_file_id === undefined ? { lines: 0 } : await download(output_file_id);
  const errors = await measured("read errors", () => download(error_file_id));
  if (
    output.lines !== counts.completed ||
    errors.lines !== counts.failed ||
    output.lines + errors.lines !== lineCount
  ) {
    throw new Error(`${output.lines} and ${errors.lines} lines of ${JSON.stringify(counts)}`);
  }
  const report = { lines: lineCount, megabytes: Number(values.megabytes), moto: values.moto, counts, steps };
  console.log(values.json ? JSON.stringify(report) : JSON.stringify(report, null, 2));
} finally {
  memory.stop();
  await service.stop();
  await moto?.stop();
  await rm(directory, { recursive: true });
}
