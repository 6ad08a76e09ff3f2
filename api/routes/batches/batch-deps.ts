import type { BatchEnd } from "../../state/batches/batch-end.ts";
import type { BatchStore } from "../../state/batches/batch-store.ts";
import type { FileStore } from "../../state/files/file-store.ts";
import type { ObjectStore } from "../../state/object-store.ts";
import type { JobDeps } from "../jobs/job-deps.ts";

/** What the routes of batches work with. */
export type BatchDeps = JobDeps & {
  files: FileStore;
  batches: BatchStore;
  batchEnd: BatchEnd;
  objects: Pick<ObjectStore, "getRange">;
};
