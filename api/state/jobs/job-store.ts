import { AppError } from "../../contract/errors.ts";
import { isTerminal, type JobFailure, type JobState } from "../../contract/job.ts";
import { JobRequest } from "../../contract/job-request.ts";
import { JobResult } from "../../contract/job-result.ts";
import { isId, keys } from "../../contract/keys.ts";
import type { JobQueue } from "../job-queue.ts";
import type { ObjectStore } from "../object-store.ts";
import { readRecord, type Stored } from "../record.ts";
import { createIdempotencyKeys } from "./idempotency.ts";
import { createJobClaims } from "./job-claims.ts";
import { createJobIndex } from "./job-index.ts";
import { advance, dueEnd, finish, hasLiveLease } from "./job-record.ts";
import { createJobRemoval } from "./job-removal.ts";
import { createJobRetention } from "./job-retention.ts";
import { createJobStates, type StateLog } from "./job-states.ts";
import { createSubmit } from "./job-submit.ts";
import { createJobSweep } from "./job-sweep.ts";

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

  const readResult = async (key: string): Promise<JobResult | null> =>
    (await readRecord(objects, key, JobResult))?.value ?? null;

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

  return {
    submit: submitting.submit,
    findByKey: idempotency.find,
    delete: removal.remove,
    removeOld: createJobRetention({ objects, index, states, removal, retentionMs, now, log }),
    get,
    getRequest,
    index,
    ...createJobClaims({ objects, states, endUnclaimed, now, newId, leaseMs }),
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
