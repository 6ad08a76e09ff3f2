import type { JobProgress } from "../../api/contract/job.ts";
import type { JobQueue } from "../../api/state/job-queue.ts";
import type { Claim } from "../../api/state/jobs/job-claims.ts";
import type { JobStore } from "../../api/state/jobs/job-store.ts";
import type { Delay } from "../delay.ts";

export type HeartbeatLimits = { leaseMs: number; visibilityMs: number; heartbeatMs: number; progressMs: number };

export type HeartbeatDeps = {
  jobs: Pick<JobStore, "renew">;
  queue: Pick<JobQueue, "extend">;
  limits: HeartbeatLimits;
  /** Milliseconds that no clock jump moves. */
  monotonicMs: () => number;
  delay: Delay;
};

/** What a heartbeat has to say about a job that it keeps. */
export type HeartbeatNews =
  /** Written as `claim`; its state shows whether the job is to be cancelled or has expired. */
  | { kind: "renewed"; claim: Claim }
  /** The job is not ours any more. The last word about it. */
  | { kind: "lost"; why: string }
  | { kind: "warning"; message: string; error?: unknown };

type Kept = {
  ended: AbortController;
  claim: Claim | null;
  progress: JobProgress | undefined;
  /** When it was received, claimed or last renewed. */
  aliveMs: number;
  beating: Promise<void>;
};

/**
 * Keeps messages hidden and the leases of claimed jobs ours, both renewed together, until they are dropped. Progress
 * rides on the same swap, at most every progressMs. A renewal that fails is tried again until the lease must have ended.
 */
export function createHeartbeat(deps: HeartbeatDeps, tell: (receipt: string, news: HeartbeatNews) => void) {
  const { jobs, queue, limits, monotonicMs, delay } = deps;
  const kept = new Map<string, Kept>();

  async function beat(receipt: string, entry: Kept): Promise<void> {
    const { signal } = entry.ended;
    let written = entry.progress;
    let extendedMs = monotonicMs();
    while (!signal.aborted) {
      await delay(limits.progressMs, signal);
      if (signal.aborted) return;
      const startedMs = monotonicMs();
      const isDue = startedMs - extendedMs >= limits.heartbeatMs;
      const reported = entry.progress;
      // The job may be claimed while its message is being extended.
      const { claim } = entry;
      if (!isDue && (claim === null || reported === written)) continue;
      try {
        const [renewed, visible] = await Promise.all([
          claim && jobs.renew(claim, reported),
          isDue ? queue.extend(receipt, limits.visibilityMs) : true,
        ]);
        if (claim !== null && renewed === null) return lose(receipt, "another worker holds the lease");
        if (renewed) {
          entry.claim = renewed;
          written = reported;
          tell(receipt, { kind: "renewed", claim: renewed });
        }
        if (isDue) extendedMs = startedMs;
        entry.aliveMs = startedMs;
        // The lease decides who runs the job; a message that someone else holds too only costs them a look.
        if (!visible) tell(receipt, { kind: "warning", message: "the message became visible to others" });
      } catch (error) {
        tell(receipt, { kind: "warning", message: "heartbeat failed", error });
        if (monotonicMs() - entry.aliveMs >= limits.leaseMs) {
          return lose(receipt, "the lease ended while it could not be renewed");
        }
      }
    }
  }

  function lose(receipt: string, why: string): void {
    kept.delete(receipt);
    tell(receipt, { kind: "lost", why });
  }

  return {
    /** Keeps the message of `receipt` hidden, and once there is a claim its lease too. */
    keep(receipt: string, claim: Claim | null): void {
      const known = kept.get(receipt);
      if (known) {
        known.claim = claim;
        known.progress = claim?.state.progress;
        known.aliveMs = monotonicMs();
        return;
      }
      const entry: Kept = {
        ended: new AbortController(),
        claim,
        progress: claim?.state.progress,
        aliveMs: monotonicMs(),
        beating: Promise.resolve(),
      };
      kept.set(receipt, entry);
      entry.beating = beat(receipt, entry);
    },

    report(receipt: string, progress: JobProgress): void {
      const entry = kept.get(receipt);
      if (entry) entry.progress = progress;
    },

    /** Resolves when nothing about it is under way any more: what its owner then does to the message is the last. */
    async drop(receipt: string): Promise<void> {
      const entry = kept.get(receipt);
      if (!entry) return;
      kept.delete(receipt);
      entry.ended.abort();
      await entry.beating;
    },
  };
}
