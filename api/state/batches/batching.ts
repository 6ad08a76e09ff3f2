import type { BatchState } from "../../contract/batch.ts";
import type { JobState } from "../../contract/job.ts";
import { createFileStore } from "../files/file-store.ts";
import type { ObjectStore } from "../object-store.ts";
import { createBatchEnd } from "./batch-end.ts";
import { createBatchFiles } from "./batch-files.ts";
import { createBatchStore } from "./batch-store.ts";

/** Files, batches, and what the end of a job means for them. */
export function createBatching({
  objects,
  now,
  newId,
  onOver,
}: {
  objects: ObjectStore;
  now: () => number;
  newId: () => string;
  /** Told of a batch that is over, at least once. */
  onOver: (batch: BatchState) => Promise<void>;
}) {
  const files = createFileStore({ objects, now, newId });
  const batches = createBatchStore({ objects });
  const batchFiles = createBatchFiles({ objects, parts: batches.parts, files });
  return { files, batches, batchEnd: createBatchEnd({ objects, batches, batchFiles, onOver, now }) };
}

/** Those who are told of the end of a job, one after the other: the first that fails is told again with the rest. */
export const inTurn =
  (...listeners: ((state: JobState) => Promise<void>)[]) =>
  async (state: JobState): Promise<void> => {
    for (const listener of listeners) await listener(state);
  };
