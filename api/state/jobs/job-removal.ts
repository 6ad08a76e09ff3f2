import { isTerminal, type JobState } from "../../contract/job.ts";
import { JobRequest } from "../../contract/job-request.ts";
import { isId, keys } from "../../contract/keys.ts";
import type { ObjectStore } from "../object-store.ts";
import { readRecord } from "../record.ts";
import { removeBelow } from "../remove-below.ts";
import type { IdempotencyKeys } from "./idempotency.ts";
import type { JobIndex } from "./job-index.ts";
import type { JobStates } from "./job-states.ts";

type Deps = { objects: ObjectStore; index: JobIndex; states: JobStates; idempotency: IdempotencyKeys };

/** Removes jobs that are over, with everything that belongs to them. */
export function createJobRemoval({ objects, index, states, idempotency }: Deps) {
  return {
    /**
     * Null if there is no such job; one that is not over is left as it is and returned. The state goes last, so that what
     * broke off can be found and repeated. After it everything is looked for once more: who told of the job's end
     * meanwhile looks for the state after its last write, so that one of the two removes it.
     */
    async remove(tenant: string, id: string): Promise<{ removed: boolean; state: JobState } | null> {
      if (!isId(id)) return null;
      const state = (await states.read(tenant, id))?.value;
      if (state === undefined) return null;
      if (!isTerminal(state.status)) return { removed: false, state };
      await states.settleEnd(state);
      const request = await readRecord(objects, keys.jobRequest(tenant, id), JobRequest);
      const hash = request?.value.idempotency_hash ?? null;
      if (hash !== null) await idempotency.release(tenant, hash, id);
      const stateKey = keys.jobState(tenant, id);
      await removeBelow(objects, keys.job(tenant, id), stateKey);
      await index.remove(state);
      await objects.delete(stateKey);
      await removeBelow(objects, keys.job(tenant, id), stateKey);
      return { removed: true, state };
    },
  };
}
