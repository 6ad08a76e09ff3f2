import { createBatchRetention } from "./batches/batch-retention.ts";
import type { BatchStore } from "./batches/batch-store.ts";
import { createDocumentRetention } from "./documents/document-retention.ts";
import { createFileRetention } from "./files/file-retention.ts";
import type { FileStore } from "./files/file-store.ts";
import type { StateLog } from "./jobs/job-states.ts";
import type { JobStore } from "./jobs/job-store.ts";
import { removeExpiredQuotes } from "./jobs/quote-store.ts";
import type { ObjectStore } from "./object-store.ts";
import { listTenants } from "./tenants.ts";

type Deps = {
  objects: ObjectStore;
  jobs: Pick<JobStore, "index" | "getRequest" | "delete">;
  batches: BatchStore;
  files: FileStore;
  retentionMs: number;
  now: () => number;
  log: StateLog;
};

export type Removed = { batches: number; files: number; documents: number; quotes: number };

/**
 * Removes what is past its retention besides jobs, of every tenant, and what requests that broke off have left. A store
 * that forgets by itself has little of it.
 */
export function createRetention(deps: Deps) {
  const removers: Record<keyof Removed, (tenant: string) => Promise<number>> = {
    batches: createBatchRetention(deps),
    files: createFileRetention(deps),
    documents: createDocumentRetention(deps),
    // Each new one clears old ones away; of a tenant that asks for no more of them the last would stay.
    quotes: (tenant) => removeExpiredQuotes(deps, tenant),
  };

  return async (): Promise<Removed> => {
    const removed: Removed = { batches: 0, files: 0, documents: 0, quotes: 0 };
    for await (const tenant of listTenants(deps.objects)) {
      for (const kind of ["batches", "files", "documents", "quotes"] as const) {
        try {
          removed[kind] += await removers[kind](tenant);
        } catch (error) {
          // What is wrong with those of one tenant is no reason to keep those of the others.
          deps.log.warn({ err: error, tenant, kind }, "what is past its retention left to the next sweep");
        }
      }
    }
    return removed;
  };
}
