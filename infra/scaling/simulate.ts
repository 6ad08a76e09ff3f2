import { createScaler, type ScalingPolicy } from "./policy.ts";
import type { Trace } from "./traces.ts";

export type Costs = {
  /** From the wish for a worker until it takes its first job: instance, image, model. */
  coldStartSeconds: number;
  onDemandHour: number;
  spotHour: number;
};

export type Sample = { atSeconds: number; backlogSeconds: number; running: number; desired: number };

export type Outcome = {
  trace: string;
  jobs: number;
  unfinished: number;
  queueWaitSeconds: { p50: number; p99: number; max: number };
  onDemandHours: number;
  spotHours: number;
  cost: number;
  /** Work done over time that workers ran, their start included. */
  gpuUtilisation: number;
  coldStarts: number;
  interruptions: number;
  /** GPU-seconds done twice, since a Spot instance went. */
  lostSeconds: number;
  samples: Sample[];
};

type Job = { atSeconds: number; gpuSeconds: number; firstStartSeconds: number | null };
type Worker = { spot: boolean; launchedSeconds: number; readySeconds: number; job: Job | null; doneSeconds: number };

const TICK_SECONDS = 5;
const METRIC_SECONDS = 60;

/**
 * Replays a trace against the policy. A worker does one GPU-second of work a second, jobs in order of arrival: prefill,
 * which is most of the work, is not faster in a batch. Only idle workers are scaled in, as with task protection.
 */
export function simulate(trace: Trace, policy: ScalingPolicy, costs: Costs): Outcome {
  const scaler = createScaler(policy);
  const jobs: Job[] = trace.arrivals.map((arrival) => ({ ...arrival, firstStartSeconds: null }));
  const waiting: Job[] = [];
  let workers: Worker[] = [];
  const samples: Sample[] = [];
  const billed = { onDemand: 0, spot: 0 };
  let [next, done, desired, coldStarts, interruptions, lostSeconds, doneSeconds] = [0, 0, 0, 0, 0, 0, 0];
  let spotFromSeconds = 0;
  let storm = 0;

  const bill = (worker: Worker, at: number): void => {
    billed[worker.spot ? "spot" : "onDemand"] += at - worker.launchedSeconds;
  };
  const launchSpot = (): boolean => {
    const onDemand = workers.filter(({ spot }) => !spot).length;
    if (onDemand < policy.onDemandBase) return false;
    return workers.length - onDemand < policy.spotWeight * (onDemand - policy.onDemandBase + 1);
  };
  const interrupt = (share: number, at: number): void => {
    const spots = workers.filter(({ spot }) => spot);
    for (const worker of spots.slice(0, Math.round(share * spots.length))) {
      interruptions++;
      if (worker.job) {
        lostSeconds += worker.job.gpuSeconds - (worker.doneSeconds - at);
        waiting.unshift(worker.job);
      }
      bill(worker, at);
      workers = workers.filter((other) => other !== worker);
    }
  };

  for (let at = 0; at <= trace.seconds; at += TICK_SECONDS) {
    for (let job = jobs[next]; job && job.atSeconds <= at; job = jobs[++next]) waiting.push(job);
    const due = trace.storms[storm];
    if (due && due.atSeconds <= at) {
      interrupt(due.share, at);
      spotFromSeconds = at + due.withoutCapacitySeconds;
      storm++;
    }
    for (const worker of workers) {
      // Within a tick a worker may end several short jobs.
      let free = Math.max(worker.readySeconds, worker.job ? worker.doneSeconds : at - TICK_SECONDS);
      while (free <= at) {
        if (worker.job) {
          done++;
          doneSeconds += worker.job.gpuSeconds;
          worker.job = null;
        }
        const job = waiting.shift();
        if (job === undefined) break;
        const start = Math.max(free, job.atSeconds);
        job.firstStartSeconds ??= start;
        worker.job = job;
        free = worker.doneSeconds = start + job.gpuSeconds;
      }
    }
    const running = workers.filter(({ readySeconds }) => readySeconds <= at).length;
    if (at % METRIC_SECONDS === 0) {
      const held = workers.reduce((sum, { job }) => sum + (job?.gpuSeconds ?? 0), 0);
      const backlogSeconds = waiting.reduce((sum, job) => sum + job.gpuSeconds, held);
      desired = scaler.step({ atSeconds: at, backlogSeconds, running });
      samples.push({ atSeconds: at, backlogSeconds, running, desired });
    }
    while (workers.length < desired) {
      const spot = launchSpot();
      if (spot && at < spotFromSeconds) break;
      coldStarts++;
      workers.push({ spot, launchedSeconds: at, readySeconds: at + costs.coldStartSeconds, job: null, doneSeconds: 0 });
    }
    for (const idle of workers.filter(({ job, readySeconds }) => job === null && readySeconds <= at)) {
      if (workers.length <= desired) break;
      bill(idle, at);
      workers = workers.filter((worker) => worker !== idle);
    }
    if (next === jobs.length && done === jobs.length && workers.length === 0) break;
  }
  for (const worker of workers) bill(worker, trace.seconds);

  const waits = jobs.flatMap(({ atSeconds, firstStartSeconds }) =>
    firstStartSeconds === null ? [] : [firstStartSeconds - atSeconds],
  );
  waits.sort((a, b) => a - b);
  const quantile = (share: number) => waits[Math.min(waits.length - 1, Math.floor(share * waits.length))] ?? 0;
  const [onDemandHours, spotHours] = [billed.onDemand / 3_600, billed.spot / 3_600];
  return {
    trace: trace.name,
    jobs: jobs.length,
    unfinished: jobs.length - done,
    queueWaitSeconds: { p50: quantile(0.5), p99: quantile(0.99), max: waits.at(-1) ?? 0 },
    onDemandHours,
    spotHours,
    cost: onDemandHours * costs.onDemandHour + spotHours * costs.spotHour,
    gpuUtilisation: doneSeconds / Math.max(1, billed.onDemand + billed.spot),
    coldStarts,
    interruptions,
    lostSeconds,
    samples,
  };
}
