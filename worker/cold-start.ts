// What a worker's start takes, part by part, as JSON: `node worker/cold-start.ts`, in the worker's image and with its
// environment. Needs no state; with --fresh a model from S3 is fetched anew. Options: --tokens N (8192), --fresh.
import { rm } from "node:fs/promises";
import { parseArgs } from "node:util";
import { parseEnv, WorkerEnv } from "../api/contract/env.ts";
import { createLog } from "../api/process.ts";
import { modelDigests, openModel } from "../api/state/models/open-model.ts";
import { type Engine, loadEngine } from "../native/index.ts";
import { modelRevision } from "../native/model-revision.ts";
import { loadPrompts } from "../native/prompt/prompt.ts";
import { engineOptions } from "./engine-options.ts";

const { values } = parseArgs({
  options: { tokens: { type: "string", default: "8192" }, fresh: { type: "boolean", default: false } },
});
const wanted = Number(values.tokens);
if (!Number.isInteger(wanted) || wanted < 1) throw new Error("--tokens must be a whole number of at least 1");

const processSeconds = performance.now() / 1000;
const env = parseEnv(WorkerEnv, process.env);
if (values.fresh && env.GNOMON_MODEL.startsWith("s3://")) {
  await rm(env.GNOMON_MODEL_CACHE, { recursive: true, force: true });
}
const model = await openModel(env, { part: "all", now: Date.now, log: createLog("cold-start", "silent") });
const [tokenizerSeconds, prompts] = await timed(() => loadPrompts(model.folder));
// Beside each other, as a worker does them.
const [[revisionSeconds], [engineSeconds, engine]] = await Promise.all([
  timed(() => modelRevision(model.folder, modelDigests(env).sha256)),
  timed(() => loadEngine(engineOptions({ ...env, GNOMON_MODEL: model.folder }))),
]);
const engineReadySeconds = performance.now() / 1000;
try {
  const tokens = await promptOf(Math.min(wanted, prompts.maxPositions - 1));
  const first = await firstToken(engine, tokens);
  const firstTokenAtSeconds = performance.now() / 1000;
  // Another document of the same length: what the first one took beyond this was set up once, for all that follow.
  const second = await firstToken(
    engine,
    tokens.map((_, index) => tokens[tokens.length - 1 - index] ?? 0),
  );
  const report = {
    device: env.GNOMON_DEVICE ?? "cpu",
    model: env.GNOMON_MODEL,
    process_seconds: round(processSeconds),
    model_files: {
      bytes: model.bytes,
      fetched_bytes: model.fetchedBytes,
      seconds: round(model.seconds),
      bytes_per_second: model.fetchedBytes === 0 ? null : Math.round(model.fetchedBytes / model.seconds),
    },
    tokenizer_seconds: round(tokenizerSeconds),
    revision_seconds: round(revisionSeconds),
    engine_load_seconds: round(engineSeconds),
    engine_ready_after_seconds: round(engineReadySeconds),
    first_token: {
      prompt_tokens: tokens.length,
      seconds: round(first),
      seconds_of_second_request: round(second),
      after_process_start_seconds: round(firstTokenAtSeconds),
    },
  };
  console.log(JSON.stringify(report, null, 2));
} finally {
  await engine.close();
}

async function promptOf(count: number): Promise<Uint32Array> {
  const some = await prompts.encode({ text: "The shadow of the gnomon tells the hour. " });
  return Uint32Array.from({ length: count }, (_, index) => some[index % some.length] ?? 0);
}

async function firstToken(engine: Engine, tokens: Uint32Array): Promise<number> {
  const [seconds] = await timed(() => engine.generate({ tokens, maxNewTokens: 1 }));
  return seconds;
}

async function timed<T>(work: () => Promise<T>): Promise<[number, T]> {
  const start = performance.now();
  const result = await work();
  return [(performance.now() - start) / 1000, result];
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
