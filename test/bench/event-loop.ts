// `npm run bench:loop -- [--json] [--bytes 500000,4000000]`: how long a text holds up the event loop, on its way through the
// API (a job with the text in it) and through the worker's part (its token ids): the longest that a timer of the main
// thread came late. On a busy machine that also counts what other processes took.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { ApiEnv, parseEnv } from "../../api/contract/env.ts";
import { openApp } from "../../api/open-app.ts";
import { loadPrompts } from "../../native/prompt/prompt.ts";

const MODEL = fileURLToPath(new URL("../../native/models/needle", import.meta.url));
const FILLER = new URL("../../native/bench/filler.txt.gz", import.meta.url);
const QUESTION = "When does contract KD-4417 expire?";
/** Long enough for a late timer to be seen. */
const SETTLE_MS = 50;

const { values } = parseArgs({
  options: { json: { type: "boolean", default: false }, bytes: { type: "string", default: "500000,4000000" } },
});
const filler = gunzipSync(await readFile(FILLER)).toString();
const directory = await mkdtemp(join(tmpdir(), "gnomon-loop-"));
const env = parseEnv(ApiEnv, { GNOMON_STATE_DIR: directory, GNOMON_MODEL: MODEL });
const silent = { info() {}, warn() {}, error() {} };
const waitMs = Number.POSITIVE_INFINITY;
const { app, close } = await openApp(env, { host: "127.0.0.1", log: silent, isStopping: () => false, waitMs });
const prompts = await loadPrompts(MODEL);

async function submit(text: string): Promise<string> {
  const response = await app.request("/v1/jobs", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ document: { text }, question: QUESTION, max_tokens: 32 }),
  });
  return `${response.status} ${((await response.json()) as { code?: string }).code ?? "accepted"}`;
}

const encode = async (document: string) => `${(await prompts.encode({ document, question: QUESTION })).length} tokens`;

async function measure(path: string, text: string, run: (text: string) => Promise<string>) {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  const startedMs = performance.now();
  const outcome = await run(text);
  const ms = performance.now() - startedMs;
  await delay(SETTLE_MS);
  histogram.disable();
  const round = (value: number) => Math.round(value * 10) / 10;
  return {
    path,
    text_bytes: Buffer.byteLength(text),
    outcome,
    wall_ms: round(ms),
    longest_delay_ms: round(histogram.max / 1e6),
  };
}

const rows = [];
// The first round compiles every code path, and does not count.
for (const round of ["warm-up", "counts"]) {
  for (const bytes of values.bytes.split(",").map(Number)) {
    const text = filler.repeat(Math.ceil(bytes / filler.length)).slice(0, bytes);
    const measured = [
      await measure("api: POST /v1/jobs", text, submit),
      await measure("worker: token ids", text, encode),
    ];
    if (round === "counts") rows.push(...measured);
  }
}
if (values.json) console.log(JSON.stringify({ rows }));
else console.table(rows);
await close();
await rm(directory, { recursive: true });
