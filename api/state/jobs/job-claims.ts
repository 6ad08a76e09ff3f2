import { type EngineInfo, isTerminal, type JobFailure, type JobProgress, type JobState } from "../../contract/job.ts";
import type { JobResult } from "../../contract/job-result.ts";
import { isId, keys } from "../../contract/keys.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode } from "../record.ts";
import { advance, dueEnd, finish, hasLiveLease, start } from "./job-record.ts";
import type { JobStates } from "./job-states.ts";

/** The right to run one attempt of a job, until `state.lease.until_ms`. Each renewal gives a newer claim. */
export type Claim = { readonly state: JobState; readonly etag: string; readonly token: string };

export type ClaimResult =
  | { kind: "claimed"; claim: Claim }
  /** The job is over: its message can be deleted. */
  | { kind: "terminal"; state: JobState }
  /** Another worker runs it; its lease ends at `state.lease.until_ms`. */
  | { kind: "leased"; state: JobState }
  | { kind: "missing" };

type Deps = {
  objects: Pick<ObjectStore, "put" | "putIfAbsent" | "delete">;
  states: JobStates;
  /** How a job ends at once that nobody runs; null where it may go on. */
  endUnclaimed: (state: JobState) => JobState | null;
  now: () => number;
  newId: () => string;
  leaseMs: number;
};

type WriteResult = (key: string, body: Uint8Array) => Promise<unknown>;

/** What whoever runs a job does with its state, from the claim of an attempt to its settlement. */
export function createJobClaims({ objects, states, endUnclaimed, now, newId, leaseMs }: Deps) {
  /** Changes the job as the holder of `claim`: `changed` is false if the lease was lost. */
  async function changeClaimed(claim: Claim, next: (state: JobState) => JobState) {
    const { tenant, id } = claim.state;
    const mine = (state: JobState) => state.lease?.token === claim.token;
    return states.change(tenant, id, (state) => (mine(state) ? next(state) : null), {
      value: claim.state,
      etag: claim.etag,
    });
  }

  /** Ends the claimed attempt. A repetition finds the job already ended by this attempt and returns it. */
  async function settle(
    claim: Claim,
    status: "succeeded" | "failed" | "cancelled" | "expired",
    changes: Parameters<typeof finish>[3],
  ): Promise<JobState | null> {
    const stored = await changeClaimed(claim, (state) => finish(state, status, now(), changes));
    if (stored === null) return null;
    const { value, changed } = stored;
    if (changed) return value;
    if (value.status !== status || value.attempt !== claim.state.attempt) return null;
    await states.ended(value);
    return value;
  }

  /** `write` puts the result at `key`, before the state names it. */
  async function settleWithResult(
    claim: Claim,
    status: "succeeded" | "cancelled" | "expired",
    { key, result, progress, write }: { key: string; result: JobResult; progress: JobProgress; write: WriteResult },
  ): Promise<JobState | null> {
    const { tenant, id } = claim.state;
    await write(key, encode(result));
    const settled = await settle(claim, status, { progress, result });
    // Of a job that was deleted meanwhile nothing stays.
    if (settled === null && (await states.read(tenant, id)) === null) await objects.delete(key);
    return settled;
  }

  return {
    /**
     * Takes the job if it is queued or its lease has ended, as a new attempt with a new fencing token. One that is to be
     * cancelled or has expired is ended instead.
     */
    async claim(tenant: string, id: string, owner: string, engine: EngineInfo | null = null): Promise<ClaimResult> {
      if (!isId(id)) return { kind: "missing" };
      const token = newId();
      const stored = await states.change(tenant, id, (state) => {
        const nowMs = now();
        if (isTerminal(state.status) || hasLiveLease(state, nowMs)) return null;
        return endUnclaimed(state) ?? start(state, { owner, token, until_ms: nowMs + leaseMs }, engine, nowMs);
      });
      if (stored === null) return { kind: "missing" };
      const { value: state, etag } = stored;
      // By token and not by `changed`: a swap whose answer was lost is ours all the same.
      if (state.lease?.token === token) return { kind: "claimed", claim: { state, etag, token } };
      return { kind: isTerminal(state.status) ? "terminal" : "leased", state };
    },

    /**
     * Heartbeat: the lease lasts `leaseMs` from now. Null if it was lost: stop the run, its result will not count. The
     * state shows whether the job is to be cancelled or has expired (`dueEnd`): stop and settle it so.
     */
    async renew(claim: Claim, progress?: JobProgress): Promise<Claim | null> {
      const stored = await changeClaimed(claim, (state) =>
        advance(state, "running", {
          ...(state.lease && { lease: { ...state.lease, until_ms: now() + leaseMs } }),
          ...(progress && { progress }),
        }),
      );
      return stored?.changed ? { state: stored.value, etag: stored.etag, token: claim.token } : null;
    },

    /**
     * Writes the result once, then the state. Null if the lease was lost. A result that an earlier attempt left
     * behind stays: it answers the same request.
     */
    settleSucceeded(claim: Claim, result: JobResult, progress = claim.state.progress): Promise<JobState | null> {
      const key = keys.jobResult(claim.state.tenant, claim.state.id);
      return settleWithResult(claim, "succeeded", { key, result, progress, write: objects.putIfAbsent });
    },

    /** Ends the attempt as a client or its time demanded, keeping what there is of the answers. Null if the lease was lost. */
    settleStopped(
      claim: Claim,
      status: "cancelled" | "expired",
      partial: JobResult | null,
      progress = claim.state.progress,
    ): Promise<JobState | null> {
      if (partial === null) return settle(claim, status, { progress });
      const key = keys.jobPartial(claim.state.tenant, claim.state.id);
      return settleWithResult(claim, status, { key, result: partial, progress, write: objects.put });
    },

    /** Null if the lease was lost. */
    settleFailed: (claim: Claim, error: JobFailure): Promise<JobState | null> => settle(claim, "failed", { error }),

    /**
     * Gives the job back unfinished; its message must become visible again. One that is to be cancelled, or has expired,
     * ends here. An attempt that is not spent does not count: nothing went wrong with it. A suspect may be what the engine
     * died of. Null if the lease was lost.
     */
    async release(claim: Claim, { isSpent = true, isSuspect = false } = {}): Promise<JobState | null> {
      const stored = await changeClaimed(claim, (state) => {
        const status = dueEnd(state, now());
        const attempt = isSpent ? state.attempt : state.attempt - 1;
        const is_suspect = state.is_suspect || isSuspect;
        return status ? finish(state, status, now()) : advance(state, "queued", { lease: null, attempt, is_suspect });
      });
      return stored?.changed ? stored.value : null;
    },
  };
}
