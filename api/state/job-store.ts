import { isDeepStrictEqual } from "node:util";
import { AppError } from "../contract/errors.ts";
import {
  isTerminal,
  type JobFailure,
  type JobMessage,
  type JobProgress,
  JobRequest,
  JobResult,
  JobState,
} from "../contract/job.ts";
import { isId, keys } from "../contract/keys.ts";
import type { JobQueue } from "./job-queue.ts";
import { advance, finish, hasLiveLease, newJob, start } from "./job-record.ts";
import type { ObjectStore } from "./object-store.ts";
import { encode, readRecord, type Stored } from "./record.ts";

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
};

export type JobStore = ReturnType<typeof createJobStore>;

/** Lost swaps in a row after which the store is called unavailable; each means that someone else did change the job. */
const maxConflicts = 32;

/** Jobs on top of the two ports. Every method may throw AppError `unavailable`; every change can be repeated after it. */
export function createJobStore({ objects, queue, now, newId, leaseMs }: JobStoreDeps) {
  const read = (tenant: string, id: string) => readRecord(objects, keys.jobState(tenant, id), JobState);

  /**
   * Swaps in what `next` makes of the current state, reading again whenever someone else was faster. `next` gives null
   * to leave the state as it is. Starts from `current` without reading it. Null if there is no such job.
   */
  async function change(
    tenant: string,
    id: string,
    next: (state: JobState) => JobState | null,
    current?: Stored<JobState>,
  ): Promise<(Stored<JobState> & { changed: boolean }) | null> {
    for (let conflicts = 0; conflicts < maxConflicts; conflicts++) {
      const stored = current ?? (await read(tenant, id));
      if (stored === null) return null;
      const value = next(stored.value);
      if (value === null) return { ...stored, changed: false };
      const etag = await objects.compareAndSwap(keys.jobState(tenant, id), stored.etag, encode(value));
      if (etag !== null) return { value, etag, changed: true };
      current = undefined;
    }
    throw new AppError("unavailable", `state of job ${id} changed ${maxConflicts} times under one update`);
  }

  /** Changes the job as the holder of `claim`: `changed` is false if the lease was lost. */
  async function changeClaimed(claim: Claim, next: (state: JobState) => JobState) {
    const { tenant, id } = claim.state;
    const mine = (state: JobState) => state.lease?.token === claim.token;
    return change(tenant, id, (state) => (mine(state) ? next(state) : null), { value: claim.state, etag: claim.etag });
  }

  /** Ends the claimed attempt. A repetition finds the job already ended by this attempt and returns it. */
  async function settle(claim: Claim, status: "succeeded" | "failed", changes: Partial<JobState>) {
    const stored = await changeClaimed(claim, (state) => finish(state, status, now(), changes));
    if (stored === null) return null;
    const { value, changed } = stored;
    return changed || (value.status === status && value.attempt === claim.state.attempt) ? value : null;
  }

  return {
    /**
     * Stores the request, then the state, then sends the message: a worker never finds a message without its job.
     * Calling again with the same id finishes a submit that broke off, and does nothing to one that did not.
     */
    async submit(tenant: string, request: JobRequest, progress: JobProgress, id = newId()): Promise<JobState> {
      const requestKey = keys.jobRequest(tenant, id);
      if ((await objects.putIfAbsent(requestKey, encode(request))) === null) {
        const earlier = await readRecord(objects, requestKey, JobRequest);
        if (!isDeepStrictEqual(earlier?.value, request)) {
          throw new AppError("invalid_request", `job ${id} exists with another request`);
        }
      }
      const state = newJob({ id, tenant, request, progress, nowMs: now() });
      const etag = await objects.putIfAbsent(keys.jobState(tenant, id), encode(state));
      const stored = etag === null ? await read(tenant, id) : { value: state, etag };
      if (stored === null) throw new AppError("unavailable", `job ${id} was deleted during its submit`);
      if (stored.value.status !== "queued" || stored.value.sent_ms !== null) return stored.value;

      const message: JobMessage = { v: 1, tenant, job: id };
      await queue.send({ body: JSON.stringify(message), groupId: tenant });
      const sent = advance(stored.value, "queued", { sent_ms: now() });
      // Best effort, hence one try and no error: a lost swap means that a worker has the job, so it was sent.
      const swapped = await objects
        .compareAndSwap(keys.jobState(tenant, id), stored.etag, encode(sent))
        .catch(() => null);
      return swapped === null ? stored.value : sent;
    },

    async get(tenant: string, id: string): Promise<JobState | null> {
      return isId(id) ? ((await read(tenant, id))?.value ?? null) : null;
    },

    async getRequest(tenant: string, id: string): Promise<JobRequest | null> {
      return isId(id) ? ((await readRecord(objects, keys.jobRequest(tenant, id), JobRequest))?.value ?? null) : null;
    },

    /**
     * result.json, whatever the state: it counts only once the state is `succeeded`. A worker that crashed between
     * result and state leaves it for the next attempt, which may settle with it without running.
     */
    async getResult(tenant: string, id: string): Promise<JobResult | null> {
      return isId(id) ? ((await readRecord(objects, keys.jobResult(tenant, id), JobResult))?.value ?? null) : null;
    },

    /** Takes the job if it is queued or its lease has ended, as a new attempt with a new fencing token. */
    async claim(tenant: string, id: string, owner: string): Promise<ClaimResult> {
      if (!isId(id)) return { kind: "missing" };
      const token = newId();
      const stored = await change(tenant, id, (state) => {
        const nowMs = now();
        if (isTerminal(state.status) || hasLiveLease(state, nowMs)) return null;
        return start(state, { owner, token, until_ms: nowMs + leaseMs }, nowMs);
      });
      if (stored === null) return { kind: "missing" };
      const { value: state, etag } = stored;
      // By token and not by `changed`: a swap whose answer was lost is ours all the same.
      if (state.lease?.token === token) return { kind: "claimed", claim: { state, etag, token } };
      return { kind: isTerminal(state.status) ? "terminal" : "leased", state };
    },

    /** Heartbeat: the lease lasts `leaseMs` from now. Null if it was lost: stop the run, its result will not count. */
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
    async settleSucceeded(claim: Claim, result: JobResult, progress = claim.state.progress): Promise<JobState | null> {
      await objects.putIfAbsent(keys.jobResult(claim.state.tenant, claim.state.id), encode(result));
      return settle(claim, "succeeded", { progress });
    },

    /** Null if the lease was lost. */
    settleFailed: (claim: Claim, error: JobFailure): Promise<JobState | null> => settle(claim, "failed", { error }),

    /** Gives the job back unfinished; its message must become visible again. Null if the lease was lost. */
    async release(claim: Claim): Promise<JobState | null> {
      const stored = await changeClaimed(claim, (state) => advance(state, "queued", { lease: null }));
      return stored?.changed ? stored.value : null;
    },

    /**
     * Fails a job that nobody runs, for messages in the dead-letter queue. The state it then has: already terminal
     * ones and running ones with a live lease are left as they are. Null if there is no such job.
     */
    async failAbandoned(tenant: string, id: string, error: JobFailure): Promise<JobState | null> {
      if (!isId(id)) return null;
      const stored = await change(tenant, id, (state) =>
        isTerminal(state.status) || hasLiveLease(state, now()) ? null : finish(state, "failed", now(), { error }),
      );
      return stored?.value ?? null;
    },
  };
}
