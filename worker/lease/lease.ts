import { AppError } from "../../api/contract/errors.ts";
import type { JobProgress } from "../../api/contract/job.ts";
import type { Claim } from "../../api/state/jobs/job-claims.ts";
import { dueEnd } from "../../api/state/jobs/job-record.ts";
import type { HeartbeatNews } from "./heartbeat.ts";

/** The keeper of messages and leases, in this thread or in another; see heartbeat.ts. */
export type Beats = {
  keep(receipt: string, claim: Claim | null): void;
  report(receipt: string, progress: JobProgress): void;
  drop(receipt: string): Promise<void>;
};
export type Tell = (receipt: string, news: HeartbeatNews) => void;

type Log = { warn(fields: object, message: string): void };

/** Why a run is stopped that its client, or its time, ended. */
export class JobStopped extends Error {
  readonly status: "cancelled" | "expired";

  constructor(status: "cancelled" | "expired") {
    super(`the job is ${status}`);
    this.name = "JobStopped";
    this.status = status;
  }
}

export type Lease = {
  /** Aborted with an AppError `lease_lost` when the job is no longer ours, with JobStopped when it is to end. */
  stopped: AbortSignal;
  report(progress: JobProgress): void;
  /** As last renewed. */
  claim(): Claim;
  /** Ends the heartbeat. The claim to settle with, carrying the latest progress. */
  end(): Promise<Claim>;
};

type Held = { stopped: AbortController; claim: Claim; log: Log };

/** What keeps the jobs of this worker its own while it works on them. */
export function createLeases({ now }: { now: () => number }) {
  const held = new Map<string, Held>();
  let beats: Beats;

  const tell: Tell = (receipt, news) => {
    const lease = held.get(receipt);
    // News of a message that only waits: whoever has the job by then will say so when it is claimed.
    if (lease === undefined) return;
    if (news.kind === "warning") lease.log.warn({ err: news.error }, news.message);
    if (news.kind === "lost") lease.stopped.abort(new AppError("lease_lost", news.why));
    if (news.kind === "renewed") {
      lease.claim = news.claim;
      const end = dueEnd(news.claim.state, now());
      if (end !== null) lease.stopped.abort(new JobStopped(end));
    }
  };

  return {
    tell,

    connect(to: Beats): void {
      beats = to;
    },

    /** Keeps a message hidden that waits for its turn. */
    hide: (receipt: string): void => beats.keep(receipt, null),

    /** Resolves when the message is its owner's alone. */
    drop: (receipt: string): Promise<void> => beats.drop(receipt),

    hold(claim: Claim, receipt: string, log: Log): Lease {
      const lease: Held = { stopped: new AbortController(), claim, log };
      let progress = claim.state.progress;
      held.set(receipt, lease);
      beats.keep(receipt, claim);
      return {
        stopped: lease.stopped.signal,
        report(latest) {
          progress = latest;
          beats.report(receipt, latest);
        },
        claim: () => lease.claim,
        async end() {
          await beats.drop(receipt);
          held.delete(receipt);
          return { ...lease.claim, state: { ...lease.claim.state, progress } };
        },
      };
    },

    /** No lease can be renewed any more. */
    loseAll(why: string): void {
      for (const { stopped } of held.values()) stopped.abort(new AppError("lease_lost", why));
    },
  };
}

export type Leases = ReturnType<typeof createLeases>;
