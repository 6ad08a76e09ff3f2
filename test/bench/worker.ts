// What a worker does for a job besides running it: receives, looks at it, claims it, reads request and document, makes
// tokens, keeps its lease, writes result and state, deletes the message. With an engine that answers at once, and the
// worker's own parts as main.ts puts them together, on embedded state.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StateEnv } from "../../api/contract/env.ts";
import { limits } from "../../api/contract/limits.ts";
import { createBatching } from "../../api/state/batches/batching.ts";
import { createDocumentStore } from "../../api/state/documents/document-store.ts";
import { createJobStore } from "../../api/state/jobs/job-store.ts";
import { createJobStreams } from "../../api/state/jobs/job-streams.ts";
import { openState } from "../../api/state/open-state.ts";
import type { Engine, GenerateControl, GenerateOptions, GenerateResult } from "../../native/index.ts";
import { loadPrompts } from "../../native/prompt/prompt.ts";
import { delay } from "../../worker/delay.ts";
import { engineInfo } from "../../worker/engine-info.ts";
import { startHeartbeatThread } from "../../worker/lease/heartbeat-client.ts";
import { createLeases } from "../../worker/lease/lease.ts";
import { leaseLimits } from "../../worker/lease/lease-limits.ts";
import { createDelivery } from "../../worker/queue/delivery.ts";
import { createIntake } from "../../worker/queue/intake.ts";
import { createJobConsumer } from "../../worker/queue/job-consumer.ts";
import { createFakeEngine } from "../support/fake-engine.ts";
import { jobRequest } from "../support/job-fixtures.ts";

const MODEL = "native/models/needle";
const MAX_BATCH = 64;
const LOOK_AHEAD = 16;
const CAPACITY = { deviceBytes: 1e12, hostBytes: 1e12 };

/** Jobs of one question each about one document, all queued before the worker begins. */
export async function measureWorker(jobs: number) {
  const directory = await mkdtemp(join(tmpdir(), "gnomon-bench-"));
  const env = StateEnv.parse({ GNOMON_STATE_DIR: directory });
  const now = Date.now;
  const newId = () => randomUUID();
  const state = await openState(env, { now, newId });
  const { batches } = createBatching({ objects: state.objects, now, newId, onOver: async () => {} });
  const times = leaseLimits(limits.leaseMs);
  const leases = createLeases({ now });
  const heartbeats = await startHeartbeatThread(
    { env, limits: times, stallMs: times.stallMs, onFailed: fail },
    leases.tell,
  );
  leases.connect(heartbeats.beats);
  const store = createJobStore({ ...state, now, newId, leaseMs: times.leaseMs, onTerminal: ended });
  const documents = createDocumentStore({ objects: state.objects, now });
  const { id } = await documents.putDocument("default", "The code of the north gate is 4711. ".repeat(24));
  const input = { kind: "questions" as const, document_ids: [id], questions: ["What is the code of the north gate?"] };
  for (let n = 0; n < jobs; n += 100) {
    const count = Math.min(100, jobs - n);
    await Promise.all(Array.from({ length: count }, () => store.submit("default", { ...jobRequest, input })));
  }

  const engine = createInstantEngine();
  const log = { debug() {}, info() {}, warn: report, error: report };
  const deps = {
    jobs: store,
    batches,
    newId,
    documents,
    queue: state.queue,
    engine,
    prompts: await loadPrompts(MODEL),
    model: jobRequest.model,
    limits: times,
    streams: createJobStreams({ objects: state.objects }),
    leases,
    now,
    delay,
    onEngineDead: fail,
    owner: "bench",
    engineInfo: engineInfo(engine, "none"),
    log: { ...log, child: () => log },
  };
  const consumer = createJobConsumer({
    queue: state.queue,
    take: createIntake({ ...deps, deliver: (pointer, message) => createDelivery(pointer, message, deps) }),
    batch: () => ({ waiting: 0, capacity: CAPACITY }),
    maxBatch: MAX_BATCH,
    lookAhead: LOOK_AHEAD,
    limits: times,
    now,
    delay,
    log,
  });

  let left = jobs;
  let finish: () => void = () => {};
  const all = new Promise<void>((resolve) => {
    finish = resolve;
  });
  async function ended(): Promise<void> {
    left -= 1;
    if (left === 0) finish();
  }

  const before = process.cpuUsage();
  const begun = performance.now();
  consumer.start();
  await all;
  const wallMs = performance.now() - begun;
  const { user, system } = process.cpuUsage(before);
  await consumer.stop(1_000);
  await heartbeats.close();
  await state.close();
  await rm(directory, { recursive: true });
  const each = (ms: number) => Math.round((ms / jobs) * 1000) / 1000;
  return { jobs, max_batch: MAX_BATCH, wall_ms_each: each(wallMs), cpu_ms_each: each((user + system) / 1000) };
}

function createInstantEngine(): Engine {
  const { engine } = createFakeEngine();
  return { ...engine, generate };

  async function generate({ tokens }: GenerateOptions, { onProgress }: GenerateControl = {}): Promise<GenerateResult> {
    const promptTokens = tokens.length;
    onProgress?.({ phase: "decode", prefillTokens: promptTokens, promptTokens, generatedTokens: 1 });
    return {
      tokens: Uint32Array.of(1),
      finishReason: "stop",
      promptTokens,
      cachedTokens: 0,
      queueMs: 0,
      prefillMs: 0,
      decodeMs: 0,
      cache: { device: 1, host: 0 },
      cacheFull: { device: 1, host: 0 },
      hitRate: 0,
    };
  }
}

function fail(error: Error): never {
  throw error;
}

function report(fields: object, message: string): void {
  console.error(message, fields);
}
