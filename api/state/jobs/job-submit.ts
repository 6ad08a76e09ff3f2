import { AppError } from "../../contract/errors.ts";
import type { JobState } from "../../contract/job.ts";
import type { JobRequest } from "../../contract/job-request.ts";
import { keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import type { JobQueue } from "../job-queue.ts";
import type { ObjectStore, Put } from "../object-store.ts";
import { encode } from "../record.ts";
import type { IdempotencyKeys } from "./idempotency.ts";
import { activeEntry, activeKey, type IndexedJob, type JobIndex, listEntry } from "./job-index.ts";
import { messageOf, newJob } from "./job-record.ts";
import type { StateLog } from "./job-states.ts";

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
    const { idempotency_hash: hash } = request;
    const accept: Put = { key: keys.jobState(tenant, id), body: encode(state), ifAbsent: true };
    // The sweeper may take a submit that is slower than this for a broken one, and remove what it wrote.
    const checkTime = (): void => {
      if (now() - state.created_ms <= limits.submitMs) return;
      throw new AppError("unavailable", `submit of job ${id} took too long`);
    };
    const steps = [
      [activeEntry(state)],
      [
        { key: keys.jobRequest(tenant, id), body: encode(request) },
        // The jobs of a batch are shown by the batch.
        ...(state.batch === null ? [listEntry(state)] : []),
      ],
      ...(hash === null ? [] : [[idempotency.claimOf(tenant, hash, fingerprint, id)]]),
      [accept],
    ];
    const made = await objects.putSteps(steps, checkTime);
    if (hash !== null && made.length < steps.length) {
      const earlier = await idempotency.take(tenant, hash, fingerprint, id);
      if (earlier !== null) {
        await discard(state, null);
        return { state: earlier, replayed: true };
      }
      checkTime();
      await objects.putIfAbsent(accept.key, accept.body);
    }
    const etag = made[0]?.[0] ?? null;
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
