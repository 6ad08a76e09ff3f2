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
  /** When the lease must have ended: leaseMs after it was received, claimed or last renewed. */
  endsMs: number;
  /** Whether the latest renewal came back, and well. */
  isAnswered: boolean;
  /** The last word about it was said. */
  isLost: boolean;
  beating: Promise<void>;
};

/**
 * Keeps messages hidden and the leases of claimed jobs ours, both renewed together, until they are dropped. Progress
 * rides on the same swap, at most every progressMs. A renewal that fails is tried again until the lease must have ended;
 * then the job is lost, even if the renewal has not come back yet.
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
      // After a renewal that went well this process stood still: it tries all the same, as nobody may have taken the job.
      if (entry.isAnswered && entry.endsMs <= startedMs) entry.endsMs = startedMs + limits.leaseMs;
      entry.isAnswered = false;
      try {
        const [renewed, visible] = await Promise.all([
          claim && jobs.renew(claim, reported),
          isDue ? queue.extend(receipt, limits.visibilityMs) : true,
        ]);
        if (entry.isLost) return;
        if (claim !== null && renewed === null) return lose(receipt, entry, "another worker holds the lease");
        if (renewed) {
          entry.claim = renewed;
          written = reported;
          tell(receipt, { kind: "renewed", claim: renewed });
        }
        if (isDue) extendedMs = startedMs;
        // It may have been claimed since.
        entry.endsMs = Math.max(entry.endsMs, startedMs + limits.leaseMs);
        entry.isAnswered = true;
        // The lease decides who runs the job; a message that someone else holds too only costs them a look.
        if (!visible) tell(receipt, { kind: "warning", message: "the message became visible to others" });
      } catch (error) {
        if (entry.isLost) return;
        tell(receipt, { kind: "warning", message: "heartbeat failed", error });
      }
    }
  }

  /** A store that does not answer holds a renewal up for longer than a lease lasts. What only waits has no lease to lose. */
  async function watch(receipt: string, entry: Kept): Promise<void> {
    const { signal } = entry.ended;
    while (!signal.aborted) {
      const leftMs = entry.endsMs - monotonicMs();
      if (leftMs <= 0 && entry.claim !== null && !entry.isAnswered) {
        lose(receipt, entry, "the lease ended while it could not be renewed");
      } else await delay(leftMs > 0 ? leftMs : limits.progressMs, signal);
    }
  }

  function lose(receipt: string, entry: Kept, why: string): void {
    entry.isLost = true;
    entry.ended.abort();
    tell(receipt, { kind: "lost", why });
  }

  async function attend(receipt: string, entry: Kept): Promise<void> {
    await Promise.all([beat(receipt, entry), watch(receipt, entry)]);
    if (kept.get(receipt) === entry) kept.delete(receipt);
  }

  return {
    /** Keeps the message of `receipt` hidden, and once there is a claim its lease too. */
    keep(receipt: string, claim: Claim | null): void {
      const known = kept.get(receipt);
      if (known && !known.isLost) {
        known.claim = claim;
        known.progress = claim?.state.progress;
        known.endsMs = monotonicMs() + limits.leaseMs;
        return;
      }
      const entry: Kept = {
        ended: new AbortController(),
        claim,
        progress: claim?.state.progress,
        endsMs: monotonicMs() + limits.leaseMs,
        isAnswered: true,
        isLost: false,
        beating: Promise.resolve(),
      };
      kept.set(receipt, entry);
      const attended = attend(receipt, entry);
      // A renewal that outlived its lease may still be under way.
      entry.beating = known ? Promise.all([known.beating, attended]).then(() => {}) : attended;
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
