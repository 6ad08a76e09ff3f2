import { AppError } from "../contract/errors.ts";
import type { JobState } from "../contract/job.ts";
import type { JobRequest } from "../contract/job-request.ts";
import { keys } from "../contract/keys.ts";
import { limits } from "../contract/limits.ts";
import type { IdempotencyKeys } from "./idempotency.ts";
import { activeKey, type IndexedJob, type JobIndex } from "./job-index.ts";
import type { JobQueue } from "./job-queue.ts";
import { messageOf, newJob } from "./job-record.ts";
import type { StateLog } from "./job-states.ts";
import type { ObjectStore } from "./object-store.ts";
import { encode } from "./record.ts";

export type Submitted = {
  state: JobState;
  /** An earlier request with the same Idempotency-Key made this job. */
  replayed: boolean;
};

type SubmitOptions = {
  /** Stands for the body that came with the Idempotency-Key whose hash is in the request. */
  fingerprint?: string;
  /** When the request came; default: now. */
  createdMs?: number;
  /** Of the job, where it must be known before; one that no other job has or had. */
  id?: string;
};

type Deps = {
  objects: ObjectStore;
  queue: Pick<JobQueue, "send">;
  index: JobIndex;
  idempotency: IdempotencyKeys;
  now: () => number;
  newId: () => string;
  log: StateLog;
};

/**
 * Takes a job in. The order makes a crash at any point harmless: the active entry comes first, so the sweeper finds what
 * was begun; the state is the point at which the job is accepted, and before it the job does not exist; the message
 * comes last, so no worker meets it before its job.
 */
export function createSubmit({ objects, queue, index, idempotency, now, newId, log }: Deps) {
  async function send(state: JobState, request: JobRequest): Promise<void> {
    await queue.send({ body: JSON.stringify(messageOf(state, request)), groupId: state.tenant });
  }

  /** Removes what a submit wrote that never came to its state. The active entry last: until then it can be repeated. */
  async function discard(job: IndexedJob, hash: string | null): Promise<void> {
    if (hash !== null) await idempotency.release(job.tenant, hash, job.id);
    await Promise.all([objects.delete(keys.jobRequest(job.tenant, job.id)), index.remove(job)]);
    await index.closeActive(activeKey(job));
  }

  async function submit(
    tenant: string,
    request: JobRequest,
    { fingerprint = "", createdMs = now(), id = `job_${newId()}` }: SubmitOptions = {},
  ): Promise<Submitted> {
    const state = newJob({ id, tenant, request, nowMs: createdMs });
    const etag = await index.openActive(state);
    await Promise.all([
      objects.put(keys.jobRequest(tenant, id), encode(request)),
      // The jobs of a batch are shown by the batch.
      state.batch === null ? index.add(state) : undefined,
    ]);
    if (request.idempotency_hash !== null) {
      const earlier = await idempotency.take(tenant, request.idempotency_hash, fingerprint, id);
      if (earlier !== null) {
        await discard(state, null);
        return { state: earlier, replayed: true };
      }
    }
    // The sweeper may take a submit that is slower than this for a broken one, and remove what it wrote.
    if (now() - state.created_ms > limits.submitMs) {
      throw new AppError("unavailable", `submit of job ${id} took too long`);
    }
    await objects.putIfAbsent(keys.jobState(tenant, id), encode(state));
    // Accepted. A message that cannot be sent now is the sweeper's to send.
    const unsent = (error: unknown) => log.warn({ err: error, job: id }, "message of a job left to the sweeper");
    try {
      await send(state, request);
      // Not waited for: without the mark the sweeper sends once more, which does no harm.
      if (etag !== null) index.markSent(activeKey(state), etag, now()).catch(unsent);
    } catch (error) {
      unsent(error);
    }
    return { state, replayed: false };
  }

  return { send, submit, discard };
}
