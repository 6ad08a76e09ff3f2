import { AppError } from "../../contract/errors.ts";
import { type EngineInfo, isTerminal, type JobFailure, type JobProgress, type JobState } from "../../contract/job.ts";
import { JobRequest } from "../../contract/job-request.ts";
import { JobResult } from "../../contract/job-result.ts";
import { isId, keys } from "../../contract/keys.ts";
import type { JobQueue } from "../job-queue.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode, readRecord, type Stored } from "../record.ts";
import { createIdempotencyKeys } from "./idempotency.ts";
import { createJobIndex } from "./job-index.ts";
import { advance, dueEnd, finish, hasLiveLease, start } from "./job-record.ts";
import { createJobRemoval } from "./job-removal.ts";
import { createJobRetention } from "./job-retention.ts";
import { createJobStates, type StateLog } from "./job-states.ts";
import { createSubmit } from "./job-submit.ts";
import { createJobSweep } from "./job-sweep.ts";

/** The right to run one attempt of a job, until `state.lease.until_ms`. Each renewal gives a newer claim. */
export type Claim = { readonly state: JobState; readonly etag: string; readonly token: string };

export type ClaimResult =
  | { kind: "claimed"; claim: Claim }
  /** The job is over: its message can be deleted. */
  | { kind: "terminal"; state: JobState }
  /** Another worker runs it; its lease ends at `state.lease.until_ms`. */
  | { kind: "leased"; state: JobState }
  | { kind: "missing" };

export type JobStoreDeps = {
  objects: ObjectStore;
  queue: JobQueue;
  /** Milliseconds since the epoch. Leases compare clocks of different machines: skew must stay well below `leaseMs`. */
  now: () => number;
  newId: () => string;
  leaseMs: number;
  /** A job is kept for this long after its end. Default: for ever. */
  retentionMs?: number;
  /** Told of every job that ends, at least once, however it ends; telling again must do no harm. */
  onTerminal?: (state: JobState) => Promise<void>;
  log?: StateLog;
};

type WriteResult = (key: string, body: Uint8Array) => Promise<unknown>;

export type JobStore = ReturnType<typeof createJobStore>;

/** Jobs on top of the two ports. Every method may throw AppError `unavailable`; every change can be repeated after it. */
export function createJobStore({
  objects,
  queue,
  now,
  newId,
  leaseMs,
  retentionMs = Number.POSITIVE_INFINITY,
  onTerminal = async () => {},
  log = { warn() {} },
}: JobStoreDeps) {
  const index = createJobIndex({ objects });
  const states = createJobStates({ objects, index, onTerminal, log });
  const isKept = (state: JobState): boolean => state.finished_ms === null || state.finished_ms + retentionMs > now();

  async function readKept(tenant: string, id: string): Promise<Stored<JobState> | null> {
    const stored = await states.read(tenant, id);
    return stored !== null && isKept(stored.value) ? stored : null;
  }

  const idempotency = createIdempotencyKeys({ objects, states: { read: readKept }, now });
  const submitting = createSubmit({ objects, queue, index, idempotency, now, newId, log });
  const removal = createJobRemoval({ objects, index, states, idempotency });

  async function getRequest(tenant: string, id: string): Promise<JobRequest | null> {
    return isId(id) ? ((await readRecord(objects, keys.jobRequest(tenant, id), JobRequest))?.value ?? null) : null;
  }

  /** How a job ends at once that nobody runs; null where it may go on, or a worker must end it. */
  const endUnclaimed = (state: JobState): JobState | null => {
    if (isTerminal(state.status) || hasLiveLease(state, now())) return null;
    const status = dueEnd(state, now());
    return status && finish(state, status, now());
  };

  /** The job, expired if it is time; null if there is none, or if it is past its retention. */
  async function get(tenant: string, id: string): Promise<JobState | null> {
    if (!isId(id)) return null;
    const stored = await readKept(tenant, id);
    if (stored === null) return null;
    if (endUnclaimed(stored.value) === null) return stored.value;
    return (await states.change(tenant, id, endUnclaimed, stored))?.value ?? null;
  }

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

  const readResult = async (key: string): Promise<JobResult | null> =>
    (await readRecord(objects, key, JobResult))?.value ?? null;

  return {
    submit: submitting.submit,
    findByKey: idempotency.find,
    delete: removal.remove,
    removeOld: createJobRetention({ objects, index, states, removal, retentionMs, now, log }),
    get,
    getRequest,
    index,
    sweep: createJobSweep({ index, states, submitting, getRequest, endUnclaimed, now, log }),

    /**
     * result.json, whatever the state: it counts only once the state is terminal. A worker that crashed between
     * result and state leaves it for the next attempt, which may settle with it without running.
     */
    async getResult(tenant: string, id: string): Promise<JobResult | null> {
      return isId(id) ? readResult(keys.jobResult(tenant, id)) : null;
    },

    /** What there was of the answers of a job that was cancelled or has expired. */
    async getPartial(tenant: string, id: string): Promise<JobResult | null> {
      return isId(id) ? readResult(keys.jobPartial(tenant, id)) : null;
    },

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
     * ends here. An attempt that is not spent does not count: nothing went wrong with it. Null if the lease was lost.
     */
    async release(claim: Claim, { isSpent = true } = {}): Promise<JobState | null> {
      const stored = await changeClaimed(claim, (state) => {
        const status = dueEnd(state, now());
        const attempt = isSpent ? state.attempt : state.attempt - 1;
        return status ? finish(state, status, now()) : advance(state, "queued", { lease: null, attempt });
      });
      return stored?.changed ? stored.value : null;
    },

    /** Asks for the text of a job as it is generated. Its worker hears of it with the next renewal of its lease. */
    async watch(tenant: string, id: string, untilMs: number): Promise<void> {
      if (!isId(id)) return;
      await states.change(tenant, id, (state) =>
        isTerminal(state.status) || (state.watched_until_ms ?? 0) >= untilMs
          ? null
          : advance(state, state.status, { watched_until_ms: untilMs }),
      );
    },

    /**
     * Ends a job that nobody runs as `cancelled`; asks whoever runs it to do so. The state it then has: a job that is
     * over stays as it is. Null if there is no such job.
     */
    async cancel(tenant: string, id: string): Promise<JobState | null> {
      if ((await get(tenant, id)) === null) return null;
      const stored = await states.change(tenant, id, (state) => {
        if (isTerminal(state.status)) return null;
        if (!hasLiveLease(state, now())) return finish(state, "cancelled", now(), { cancel_requested_ms: now() });
        return state.cancel_requested_ms === null ? advance(state, state.status, { cancel_requested_ms: now() }) : null;
      });
      return stored?.value ?? null;
    },

    /**
     * Fails a job that nobody runs, for messages in the dead-letter queue. The state it then has: already terminal
     * ones and running ones with a live lease are left as they are. Null if there is no such job.
     */
    async failAbandoned(tenant: string, id: string, error: JobFailure): Promise<JobState | null> {
      if (!isId(id)) return null;
      const stored = await states.change(tenant, id, (state) =>
        isTerminal(state.status) || hasLiveLease(state, now()) ? null : finish(state, "failed", now(), { error }),
      );
      return stored?.value ?? null;
    },

    /** The request of a job, for a new one. A time by which it was wanted that has passed is dropped. */
    async requestAgain({ tenant, id }: JobState, idempotencyHash: string | null): Promise<JobRequest> {
      const request = await getRequest(tenant, id);
      if (request === null) throw new AppError("job_not_found", `no request of job ${id}`);
      const { deliver_by_ms } = request;
      return {
        ...request,
        deliver_by_ms: deliver_by_ms !== null && deliver_by_ms > now() ? deliver_by_ms : null,
        retry_of: id,
        idempotency_hash: idempotencyHash,
      };
    },
  };
}
