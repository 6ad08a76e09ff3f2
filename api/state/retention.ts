import { createBatchRetention } from "./batches/batch-retention.ts";
import type { BatchStore } from "./batches/batch-store.ts";
import { createDocumentRetention } from "./documents/document-retention.ts";
import { createFileRetention } from "./files/file-retention.ts";
import type { FileStore } from "./files/file-store.ts";
import type { JobStore } from "./jobs/job-store.ts";
import type { ObjectStore } from "./object-store.ts";
import { listTenants } from "./tenants.ts";

type Deps = {
  objects: ObjectStore;
  jobs: Pick<JobStore, "index" | "getRequest">;
  batches: BatchStore;
  files: FileStore;
  retentionMs: number;
  now: () => number;
};

export type Removed = { batches: number; files: number; documents: number };

/**
 * Removes what is past its retention besides jobs, of every tenant, and what requests that broke off have left. A store
 * that forgets by itself has little of it.
 */
export function createRetention(deps: Deps) {
  const removeBatches = createBatchRetention(deps);
  const removeFiles = createFileRetention(deps);
  const removeDocuments = createDocumentRetention(deps);

  return async (): Promise<Removed> => {
    const removed: Removed = { batches: 0, files: 0, documents: 0 };
    for await (const tenant of listTenants(deps.objects)) {
      removed.batches += await removeBatches(tenant);
      removed.files += await removeFiles(tenant);
      removed.documents += await removeDocuments(tenant);
    }
    return removed;
  };
}
