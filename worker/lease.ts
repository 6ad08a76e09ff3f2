import { AppError } from "../api/contract/errors.ts";
import type { JobProgress } from "../api/contract/job.ts";
import type { JobQueue } from "../api/state/job-queue.ts";
import type { Claim, JobStore } from "../api/state/job-store.ts";
import type { Delay } from "./delay.ts";

export type LeaseDeps = {
  jobs: Pick<JobStore, "renew">;
  queue: Pick<JobQueue, "extend">;
  limits: { visibilityMs: number; heartbeatMs: number; progressMs: number };
  now: () => number;
  delay: Delay;
};

type Log = { warn(fields: object, message: string): void };

/**
 * Keeps a claimed job ours: every heartbeat renews its lease and the visibility of its message together. Progress
 * rides on the same swap, at most every progressMs. A plain timer will do, as nothing here blocks the event loop:
 * the engine has its own thread and tokenising one too.
 */
export function holdLease(first: Claim, receipt: string, { jobs, queue, limits, now, delay }: LeaseDeps, log: Log) {
  const lost = new AbortController();
  const ended = new AbortController();
  let claim = first;
  let progress = first.state.progress;
  let written = progress;
  let lastHeartbeatMs = now();

  async function beat(): Promise<void> {
    while (!ended.signal.aborted && !lost.signal.aborted) {
      await delay(limits.progressMs, ended.signal);
      if (ended.signal.aborted) return;
      const heartbeat = now() - lastHeartbeatMs >= limits.heartbeatMs;
      if (heartbeat || progress !== written) await renew(heartbeat);
    }
  }

  async function renew(heartbeat: boolean): Promise<void> {
    const reported = progress;
    try {
      const [renewed, visible] = await Promise.all([
        jobs.renew(claim, reported),
        heartbeat ? queue.extend(receipt, limits.visibilityMs) : true,
      ]);
      if (renewed === null) return lose("another worker holds the lease");
      // The lease decides who runs the job; a message that someone else holds too only costs them a look.
      if (!visible) log.warn({}, "the message became visible to others");
      claim = renewed;
      written = reported;
      if (heartbeat) lastHeartbeatMs = now();
    } catch (error) {
      log.warn({ err: error }, "heartbeat failed");
      if (now() >= (claim.state.lease?.until_ms ?? 0)) lose("the lease ended while it could not be renewed");
    }
  }

  const lose = (why: string): void => lost.abort(new AppError("lease_lost", why));
  const beating = beat();

  return {
    /** Aborted, with an AppError `lease_lost`, when the job is no longer ours. */
    lost: lost.signal,

    report(latest: JobProgress): void {
      progress = latest;
    },

    /** Ends the heartbeat. The claim to settle with, carrying the latest progress. */
    async end(): Promise<Claim> {
      ended.abort();
      await beating;
      return { ...claim, state: { ...claim.state, progress } };
    },
  };
}
