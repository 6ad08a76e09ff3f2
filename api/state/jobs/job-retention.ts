import { isTerminal } from "../../contract/job.ts";
import { keys } from "../../contract/keys.ts";
import type { ObjectStore } from "../object-store.ts";
import { listTenants } from "../tenants.ts";
import type { JobIndex } from "./job-index.ts";
import type { createJobRemoval } from "./job-removal.ts";
import type { JobStates, StateLog } from "./job-states.ts";

type Deps = {
  objects: Pick<ObjectStore, "list">;
  index: Pick<JobIndex, "list">;
  states: Pick<JobStates, "read">;
  removal: ReturnType<typeof createJobRemoval>;
  retentionMs: number;
  now: () => number;
  log: StateLog;
};

const pageSize = 100;

/** Removes the jobs that are past their retention, of every tenant; how many. A store that forgets by itself has few left. */
export function createJobRetention({ objects, index, states, removal, retentionMs, now, log }: Deps) {
  /** A job that ended before some time was made before it too: only those are looked at. */
  async function sweepTenant(tenant: string, endedBeforeMs: number): Promise<number> {
    let removed = 0;
    const from = keys.jobIndexFrom(tenant, endedBeforeMs).slice(keys.jobIndexOf(tenant).length);
    for (let after = from; ; ) {
      const page = await index.list(tenant, { after, limit: pageSize });
      for (const { job } of page) {
        const state = (await states.read(tenant, job))?.value;
        if (!state || !isTerminal(state.status) || (state.finished_ms ?? endedBeforeMs) >= endedBeforeMs) continue;
        if ((await removal.remove(tenant, job))?.removed) removed += 1;
      }
      if (page.length < pageSize) return removed;
      after = page.at(-1)?.cursor ?? after;
    }
  }

  return async (): Promise<number> => {
    if (retentionMs === Number.POSITIVE_INFINITY) return 0;
    const endedBeforeMs = now() - retentionMs;
    let removed = 0;
    for await (const tenant of listTenants(objects)) {
      try {
        removed += await sweepTenant(tenant, endedBeforeMs);
      } catch (error) {
        log.warn({ err: error, tenant }, "old jobs left to the next sweep");
      }
    }
    return removed;
  };
}
