import { AppError } from "../../contract/errors.ts";
import { isTerminal, JobState } from "../../contract/job.ts";
import { keys } from "../../contract/keys.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode, readRecord, type Stored } from "../record.ts";
import { activeKey, type JobIndex } from "./job-index.ts";

export type StateLog = { warn(fields: object, message: string): void };

type Deps = {
  objects: ObjectStore;
  index: JobIndex;
  /** Told of every job that ends, at least once; telling again must do no harm. */
  onTerminal: (state: JobState) => Promise<void>;
  log: StateLog;
};

export type JobStates = ReturnType<typeof createJobStates>;

/** Lost swaps in a row after which the store is called unavailable; each means that someone else did change the job. */
const maxConflicts = 32;

/** state.json of each job, and what its end brings with it. */
export function createJobStates({ objects, index, onTerminal, log }: Deps) {
  const read = (tenant: string, id: string) => readRecord(objects, keys.jobState(tenant, id), JobState);

  /** Tells of the end, then forgets that the job was active. In this order: what breaks off is found and done again. */
  async function settleEnd(state: JobState): Promise<void> {
    await onTerminal(state);
    await index.closeActive(activeKey(state));
  }

  /** As settleEnd; a failure is left to the sweeper, as the job is over all the same. */
  async function ended(state: JobState): Promise<void> {
    await settleEnd(state).catch((error) =>
      log.warn({ err: error, job: state.id }, "end of a job left to the sweeper"),
    );
  }

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
      if (etag !== null) {
        if (isTerminal(value.status)) await ended(value);
        return { value, etag, changed: true };
      }
      current = undefined;
    }
    throw new AppError("unavailable", `state of job ${id} changed ${maxConflicts} times under one update`);
  }

  return { read, change, settleEnd, ended };
}
