import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { createBatching, inTurn } from "../../api/state/batches/batching.ts";
import { brokenOffMs } from "../../api/state/jobs/idempotency.ts";
import { createJobStore } from "../../api/state/jobs/job-store.ts";
import { openAdapters, type State } from "../../api/state/open-state.ts";
import { createWebhookStore } from "../../api/state/webhooks/webhook-store.ts";
import { seeded } from "../support/seeded.ts";
import type { Backend } from "./backend.ts";
import { calmLines, keepBatching } from "./batch-load.ts";
import { keepSubmitting, type Ledger } from "./client.ts";
import { startCluster } from "./cluster.ts";
import { check, type Findings, isSettled } from "./invariants.ts";
import { calmAnswers } from "./load.ts";
import { startReceiver } from "./receiver.ts";
import { createSigns, type Signs } from "./signs.ts";
import { type Strikes, strike } from "./strike.ts";

export type ChaosOptions = {
  seed: number;
  /** kill -9, of worker or API. */
  kills: number;
  /** Milliseconds between two kills, on average. */
  everyMs: number;
  /** By how much the clocks of the processes jump. */
  clockMs: number;
  webhooks: boolean;
  /** For a short run: kills workers only, and does not wait the minutes after which the sweepers look. */
  isShort: boolean;
  log: (line: string) => void;
};

export type ChaosReport = Strikes &
  Signs & {
    backend: string;
    seed: number;
    faults: ReturnType<Backend["faults"]>;
    duplicate_messages: number;
    cancels: number;
    deletes: number;
    documents: number;
    batches: number;
    /** Of all batches. */
    lines: number;
    webhooks: number;
    jobs: number;
    seconds: number;
    findings: Findings;
  };

/** After the last fault everything must come to rest within this time: the sweeper alone may take some minutes. */
const REST_MS = brokenOffMs + 180_000;
const SUBMITTERS = 6;
/** Between two jobs of one of them. */
const SUBMIT_MS = 2_000;
/** Between two batches, in multiples of the time between two kills. */
const BATCH_EVERY = 4;
/** Beyond what any sweeper waits for, short of what expires. */
const SWEEP_AHEAD_MS = brokenOffMs + 60_000;

/** A service under a steady load whose processes are killed and whose wires fail, and then a look at what it made of it. */
export async function runChaos(backend: Backend, options: ChaosOptions): Promise<ChaosReport> {
  const { seed, clockMs, kills, everyMs, isShort, log } = options;
  const startedMs = performance.now();
  const receiver = await startReceiver(seeded(seed + 1));
  const state = await openAdapters(backend.direct, { now: Date.now, newId: randomUUID });
  const signs = createSigns();
  const cluster = await startCluster({
    env: { ...backend.env, ...receiver.env, GNOMON_LOG_LEVEL: "info" },
    workers: 2,
    clockMs,
    seed,
    onLine(line) {
      signs.read(line);
      log(line);
    },
  });
  try {
    const limit = AbortSignal.timeout(REST_MS + kills * everyMs * 4);
    const calm = { answers: await calmAnswers(cluster.url, limit), lines: await calmLines(cluster.url, limit) };
    backend.setFaults(true);
    const over = new AbortController();
    const ledger: Ledger = { jobs: [], documents: [], batches: [], cancels: 0, deletes: 0, duplicate_messages: 0 };
    const webhook = options.webhooks ? receiver.url : null;
    const rest = { api: cluster.url, state, ledger, webhook, everyMs: SUBMIT_MS, over: over.signal, limit };
    const load = Promise.all([
      ...Array.from({ length: SUBMITTERS }, (_, index) =>
        keepSubmitting({ ...rest, random: seeded(seed + 10 + index) }),
      ),
      keepBatching({ ...rest, random: seeded(seed + 5), batches: ledger.batches, everyMs: BATCH_EVERY * everyMs }),
    ]);
    const striking = strike(cluster, backend, { kills, everyMs, isApiSpared: isShort, random: seeded(seed), log });
    // A client that fails ends the run at once.
    const strikes = await Promise.race([striking, load.then(() => striking)]);
    over.abort();
    await load;

    backend.setFaults(false);
    receiver.calm();
    log(`calm again: ${ledger.jobs.length} jobs accepted`);
    if (isShort) await sweepAhead(state);
    await comeToRest(state, ledger, webhook === null ? null : receiver.ids);
    log("at rest");
    await cluster.stop();
    const findings = await check(state, ledger, calm, webhook === null ? null : receiver.ids);
    const { jobs, documents, batches, ...counts } = ledger;
    return {
      backend: backend.name,
      seed,
      ...strikes,
      faults: backend.faults(),
      ...signs.counts,
      ...counts,
      documents: documents.length,
      batches: batches.length,
      lines: batches.reduce((sum, { lines }) => sum + lines.length, 0),
      webhooks: receiver.received(),
      jobs: jobs.length,
      seconds: Math.round((performance.now() - startedMs) / 1000),
      findings,
    };
  } finally {
    await cluster.stop();
    receiver.stop();
    await state.close();
  }
}

/** What the sweepers of the processes would do in some minutes. */
async function sweepAhead(state: State): Promise<void> {
  const now = () => Date.now() + SWEEP_AHEAD_MS;
  const newId = randomUUID;
  const { emit, emitBatch } = createWebhookStore({ ...state, now });
  const { batchEnd } = createBatching({ objects: state.objects, now, newId, onOver: emitBatch });
  const onTerminal = inTurn(emit, batchEnd.jobEnded);
  const jobs = createJobStore({ ...state, now, newId, leaseMs: 60_000, onTerminal });
  for (let after: string | null | undefined; after !== null; ) ({ next: after } = await jobs.sweep(after));
}

/** Waits until nothing is left to do, or for so long that something must be wrong. */
async function comeToRest(state: State, ledger: Ledger, told: ReadonlyMap<string, unknown> | null): Promise<void> {
  const deadline = performance.now() + REST_MS;
  // Of a job that was deleted before it could be told nothing more comes.
  const isTold = () =>
    told === null || ledger.jobs.every(({ id, body, isDeleted }) => isDeleted || !("webhook" in body) || told.has(id));
  while (performance.now() < deadline) {
    if ((await isSettled(state)) && isTold()) return;
    await delay(1_000);
  }
}
