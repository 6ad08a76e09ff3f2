import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { openAdapters, type State } from "../../api/state/open-state.ts";
import { seeded } from "../support/seeded.ts";
import type { Backend } from "./backend.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { check, type Findings, isSettled } from "./invariants.ts";
import { type Accepted, calmAnswers, cancel, randomBody, submit } from "./load.ts";
import { startReceiver } from "./receiver.ts";

export type ChaosOptions = {
  seed: number;
  /** kill -9, of worker or API. */
  kills: number;
  /** Milliseconds between two kills, on average. */
  everyMs: number;
  /** By how much the clocks of the workers jump. */
  clockMs: number;
  webhooks: boolean;
  /** Kills workers only: what a killed API leaves undone, the sweeper takes a minute to find. */
  isApiSpared: boolean;
  log: (line: string) => void;
};

export type ChaosReport = {
  backend: string;
  seed: number;
  kills: number;
  terminations: number;
  faults: Record<string, number>;
  duplicate_messages: number;
  cancels: number;
  webhooks: number;
  jobs: number;
  seconds: number;
  findings: Findings;
};

/** After the last fault everything must come to rest within this time: the sweeper alone may take more than a minute. */
const REST_MS = 240_000;
const SUBMITTERS = 3;

/** A service under a steady load whose processes are killed and whose wires fail, and then a look at what it made of it. */
export async function runChaos(backend: Backend, options: ChaosOptions): Promise<ChaosReport> {
  const { seed, clockMs, log } = options;
  const random = seeded(seed);
  const startedMs = performance.now();
  const receiver = await startReceiver(seeded(seed + 1));
  const state = await openAdapters(backend.direct, { now: Date.now, newId: randomUUID });
  const cluster = await startCluster({
    env: { ...backend.env, ...receiver.env, GNOMON_LOG_LEVEL: "info" },
    workers: 2,
    clockMs,
    onLine: log,
  });
  try {
    const limit = AbortSignal.timeout(REST_MS + options.kills * options.everyMs * 4);
    const calm = await calmAnswers(cluster.url, limit);
    backend.setFaults(true);
    const over = new AbortController();
    const accepted: Accepted[] = [];
    const counts = { duplicates: 0, cancels: 0, terminations: 0 };
    const webhook = options.webhooks ? receiver.url : null;
    const load = Array.from({ length: SUBMITTERS }, (_, index) =>
      keepSubmitting({ cluster, state, random: seeded(seed + 10 + index), accepted, counts, webhook, over, limit }),
    );
    await strike(cluster, random, options, counts);
    over.abort();
    await Promise.all(load);

    backend.setFaults(false);
    receiver.calm();
    log(`calm again: ${accepted.length} jobs accepted`);
    await rest(state, accepted, receiver.ids, webhook !== null);
    await cluster.stop();
    const findings = await check(state, accepted, calm, webhook === null ? null : receiver.ids);
    return {
      backend: backend.name,
      seed,
      kills: options.kills,
      terminations: counts.terminations,
      faults: backend.faults(),
      duplicate_messages: counts.duplicates,
      cancels: counts.cancels,
      webhooks: receiver.received(),
      jobs: accepted.length,
      seconds: Math.round((performance.now() - startedMs) / 1000),
      findings,
    };
  } finally {
    await cluster.stop();
    receiver.stop();
    await state.close();
  }
}

/** Kills, and now and then a SIGTERM, at random points: of a process that runs, starts or stops. */
async function strike(
  cluster: Cluster,
  random: () => number,
  { kills, everyMs, isApiSpared }: ChaosOptions,
  counts: { terminations: number },
): Promise<void> {
  const first = isApiSpared ? 1 : 0;
  const anyone = () => first + Math.floor(random() * (cluster.members - first));
  for (let kill = 0; kill < kills; kill++) {
    await delay(everyMs * (0.2 + 1.6 * random()));
    cluster.kill(anyone());
    if (random() < 0.1) {
      await delay(everyMs * random());
      cluster.terminate(anyone());
      counts.terminations++;
    }
  }
}

type Load = {
  cluster: Cluster;
  state: State;
  random: () => number;
  accepted: Accepted[];
  counts: { duplicates: number; cancels: number };
  webhook: string | null;
  over: AbortController;
  limit: AbortSignal;
};

/** One client that submits job after job; some are cancelled, and the messages of some come more than once and late. */
async function keepSubmitting({ cluster, state, random, accepted, counts, webhook, over, limit }: Load): Promise<void> {
  while (!over.signal.aborted) {
    const body = randomBody(random, random() < 0.3 ? webhook : null);
    const job = await submit(cluster.url, randomUUID(), body, limit);
    accepted.push(job);
    if (random() < 0.15) {
      const message = {
        v: 1,
        tenant: "default",
        job: job.id,
        priority: body.priority,
        deliver_by_ms: null,
        reserved_tokens: 1,
        document: null,
      };
      await state.queue.send({ body: JSON.stringify(message), delaySeconds: Math.floor(random() * 4) });
      counts.duplicates++;
    }
    if (random() < 0.05) {
      job.isCancelled = true;
      await cancel(cluster.url, job.id, limit);
      counts.cancels++;
    }
    await delay(150 + 300 * random());
  }
}

/** Waits until nothing is left to do, or for so long that something must be wrong. */
async function rest(
  state: State,
  accepted: readonly Accepted[],
  told: ReadonlyMap<string, unknown>,
  webhooks: boolean,
): Promise<void> {
  const deadline = performance.now() + REST_MS;
  const owed = webhooks ? accepted.filter(({ body }) => "webhook" in body) : [];
  while (performance.now() < deadline) {
    if ((await isSettled(state)) && owed.every(({ id }) => told.has(id))) return;
    await delay(1_000);
  }
}
