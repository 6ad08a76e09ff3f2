// `npm run bench:bulk`: one batch of documents through the api and worker processes as they are shipped, on embedded state,
// and what the C++ engine alone takes for the same lengths, measured before and after. The difference is told by its
// causes, from the times that the worker logs of every line. Options: --documents N, --json.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createClient } from "../../api/client/client.ts";
import { batchProgress } from "../../api/client/command/batch-lines.ts";
import { createProgress } from "../../api/client/command/progress.ts";
import { isBatchOver } from "../../api/contract/batch.ts";
import { StateEnv } from "../../api/contract/env.ts";
import { createBatching } from "../../api/state/batches/batching.ts";
import { openState } from "../../api/state/open-state.ts";
import { startService } from "../../infra/local/service.ts";
import { makeDocuments } from "../../native/bench/documents.ts";
import { AnsweredLine, divide } from "./bulk-times.ts";
import { engineSeconds, measureEngine } from "./engine-times.ts";
import { cpuSecondsByThread } from "./process-cpu.ts";
import { childrenOf } from "./process-memory.ts";

/** Of the whole prompt; the engine alone is measured at these. */
const LENGTHS = Array.from({ length: 13 }, (_, step) => 4096 + 1024 * step);
const MAX_TOKENS = 200;
const SEED = 20261125;
const POLL_MS = 500;

const { values } = parseArgs({
  options: { documents: { type: "string", default: "200" }, json: { type: "boolean", default: false } },
});
const documents = Number(values.documents);
const say = (line: string) => void process.stderr.write(`${line}\n`);
const progress = createProgress(process.stderr);

/** Lines of the batch, lengths in turn. No two documents begin alike, so that no prefill serves two. */
async function makeInput(model: string): Promise<string> {
  const made = [];
  for (const [index, tokens] of LENGTHS.entries()) {
    progress.show([{ name: "making", value: made.length, total: documents, unit: "documents" }]);
    const count = Math.floor((documents - index + LENGTHS.length - 1) / LENGTHS.length);
    const some = count > 0 ? await makeDocuments("decisions", tokens, count, SEED) : [];
    made.push(...some.map((document, turn) => ({ ...document, number: turn * LENGTHS.length + index + 1 })));
  }
  progress.stop();
  const lines = made
    .toSorted((a, b) => a.number - b.number)
    .map(({ number, document, question }) => ({
      custom_id: `document-${number}`,
      method: "POST",
      url: "/v1/chat/completions",
      body: {
        model,
        messages: [{ role: "user", content: `${number}.${document}\n\n${question}` }],
        max_tokens: MAX_TOKENS,
      },
    }));
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** The batch from its start to its completion, and what the worker wrote of its lines. */
async function runBatch() {
  const directory = await mkdtemp(join(tmpdir(), "gnomon-bench-"));
  const env = { ...process.env, GNOMON_STATE_DIR: directory, GNOMON_PORT: "0", GNOMON_LOG_LEVEL: "debug" };
  const log: string[] = [];
  const service = await startService({
    env,
    onLine: (name, line) => void (name === "worker" && log.push(line)),
    signal: AbortSignal.timeout(120_000),
  });
  try {
    const { batches } = createClient(service.url);
    const file = await batches.upload(new File([await makeInput(service.model)], "documents.jsonl"));
    let batch = await batches.create({
      input_file_id: file.id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    });
    for (; !isBatchOver(batch.status); batch = await batches.get(batch.id)) {
      progress.show(batchProgress(batch));
      await delay(POLL_MS);
    }
    progress.show(batchProgress(batch));
    progress.stop();
    const { total, completed } = batch.request_counts;
    if (total !== documents || completed !== documents) throw new Error(`not all answered: ${JSON.stringify(batch)}`);
    const cpuOf = async (file: string) => cpuSecondsByThread((await childrenOf(file))[0] ?? 0);
    const cpu = { worker: await cpuOf("worker/main.ts"), api: await cpuOf("api/main.ts") };
    return { ...(await momentsOf(directory, batch.id)), ...readLog(log), cpu };
  } finally {
    await service.stop();
    await rm(directory, { recursive: true });
  }
}

/** To the millisecond, as the api does not tell them. */
async function momentsOf(directory: string, id: string) {
  const deps = { now: Date.now, newId: randomUUID, onOver: async () => {} };
  const state = await openState(StateEnv.parse({ GNOMON_STATE_DIR: directory }), deps);
  try {
    const batch = await createBatching({ ...deps, objects: state.objects }).batches.get("default", id);
    const { created_ms: createdMs, in_progress_ms: validatedMs, completed_ms: completedMs } = batch ?? {};
    if (createdMs == null || validatedMs == null || completedMs == null) throw new Error("a batch without its times");
    return { createdMs, validatedMs, completedMs };
  } finally {
    await state.close();
  }
}

function readLog(log: readonly string[]) {
  const entries = log.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  const lines = entries.filter(({ msg }) => msg === "line answered").map((entry) => AnsweredLine.parse(entry));
  const shards = new Set(lines.map(({ job }) => job));
  const claims = entries.filter(({ msg, job }) => msg === "job claimed" && shards.has(job));
  return { lines, claimedMs: claims.map(({ time }): number => time) };
}

say("the engine alone, before");
const before = await measureEngine(LENGTHS);
const { lines, cpu, ...moments } = await runBatch();
say("the engine alone, after");
const after = await measureEngine(LENGTHS);

const parts = divide(lines, moments);
const usages = lines.map(({ usage }) => usage);
const work = usages.map((usage) => ({ promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens }));
const alone = [before, after].map((rows) => engineSeconds(rows, work));
// The machine has other things to do, and can only make it slower.
const aloneSeconds = Math.min(...alone);
const seconds = (ms: number): number => Math.round(ms) / 1000;
const perHour = (wallSeconds: number): number => Math.round((documents * 3600) / wallSeconds);
const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

const details = {
  prompt_tokens: sum(usages.map(({ prompt_tokens }) => prompt_tokens)),
  cached_tokens: sum(usages.map(({ prompt_tokens_details }) => prompt_tokens_details.cached_tokens)),
  completion_tokens: sum(usages.map(({ completion_tokens }) => completion_tokens)),
  shards: moments.claimedMs.length,
  seconds: seconds(parts.wallMs),
  engine_seconds: alone.map((each) => seconds(each * 1000)),
  difference_seconds: {
    validation: seconds(parts.validationMs),
    waiting_for_shards: seconds(parts.shardsMs),
    tokenising_the_first_line: seconds(parts.tokenisingMs),
    engine_idle_between_shards: seconds(parts.idleMs),
    gathering_results: seconds(parts.gatheringMs),
    engine_slower_than_alone: seconds(parts.busyMs - aloneSeconds * 1000),
  },
  ragged_end_seconds: seconds(parts.raggedEndMs),
  // From the start of the processes; the engine works on threads of its own.
  cpu_seconds: cpu,
};
const report = {
  documents,
  documents_per_hour: perHour(parts.wallMs / 1000),
  engine_documents_per_hour: perHour(aloneSeconds),
  engine_busy: Math.round(parts.busyShare * 1000) / 1000,
};
say(JSON.stringify(details, null, 2));
console.log(values.json ? JSON.stringify(report) : JSON.stringify(report, null, 2));
