import { type BatchState, isBatchOver } from "../../contract/batch.ts";
import { keys } from "../../contract/keys.ts";
import type { JobStore } from "../jobs/job-store.ts";
import { listPages } from "../list-pages.ts";
import { createLitter, listFolders } from "../litter.ts";
import type { ObjectStore } from "../object-store.ts";
import { removeBelow } from "../remove-below.ts";
import type { BatchStore } from "./batch-store.ts";

type Deps = {
  objects: ObjectStore;
  batches: BatchStore;
  jobs: Pick<JobStore, "delete">;
  retentionMs: number;
  now: () => number;
};

const pageSize = 100;

/** Removes the batches of a tenant that are past their retention, with all that lies below them; how many. */
export function createBatchRetention({ objects, batches, jobs, retentionMs, now }: Deps) {
  const litter = createLitter({ now });

  /** One that ended, by now for long enough, and of which no job is left that could still write to it. */
  async function isDue(batch: BatchState, endedBeforeMs: number): Promise<boolean> {
    if (!isBatchOver(batch.status) || endedMs(batch) > endedBeforeMs) return false;
    return (await batches.parts.listOpen(batch, 1)).length === 0;
  }

  async function removeJobs(tenant: string, id: string): Promise<void> {
    for (const job of await batches.parts.listJobs({ tenant, id })) await jobs.delete(tenant, job);
  }

  /** The state goes last but for its entry, by which what broke off is found again. */
  async function remove(tenant: string, id: string, entry: string): Promise<void> {
    await removeJobs(tenant, id);
    const state = keys.batchState(tenant, id);
    await removeBelow(objects, keys.batchAll(tenant, id), state);
    await objects.delete(state);
    await objects.delete(entry);
  }

  async function removeOld(tenant: string): Promise<number> {
    const endedBeforeMs = now() - retentionMs;
    const prefix = keys.batchIndexOf(tenant);
    let removed = 0;
    // A batch that ended before some time was made before it too: only those are looked at.
    for await (const page of listPages(objects, prefix, {
      after: keys.batchIndexFrom(tenant, endedBeforeMs),
      pageSize,
    })) {
      for (const { key } of page) {
        const id = key.slice(key.indexOf("-", prefix.length) + 1);
        const batch = await batches.get(tenant, id);
        if (batch !== null && !(await isDue(batch, endedBeforeMs))) continue;
        await remove(tenant, id, key);
        removed += 1;
      }
    }
    return removed;
  }

  /** The inputs of batches that were never made. No job of such a batch can run for longer than it is waited for here. */
  async function removeLitter(tenant: string): Promise<void> {
    const prefix = keys.batchesOf(tenant);
    for await (const folder of listFolders(objects, prefix, "batch.json")) {
      if (!litter.isLitter(folder)) continue;
      await removeJobs(tenant, folder.prefix.slice(prefix.length, -1));
      await removeBelow(objects, folder.prefix);
      litter.forget(folder.prefix);
    }
  }

  return async (tenant: string): Promise<number> => {
    const removed = retentionMs === Number.POSITIVE_INFINITY ? 0 : await removeOld(tenant);
    await removeLitter(tenant);
    return removed;
  };
}

function endedMs({ status, completed_ms, failed_ms, expired_ms, cancelled_ms }: BatchState): number {
  const ended = { completed: completed_ms, failed: failed_ms, expired: expired_ms, cancelled: cancelled_ms };
  return (status in ended ? ended[status as keyof typeof ended] : null) ?? Number.POSITIVE_INFINITY;
}
