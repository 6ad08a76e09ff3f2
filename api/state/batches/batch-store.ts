import { z } from "zod";
import { BatchState } from "../../contract/batch.ts";
import { AppError } from "../../contract/errors.ts";
import { isId, keys } from "../../contract/keys.ts";
import { listNewest, type Page } from "../newest-first.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode, readRecord } from "../record.ts";
import { removeBelow } from "../remove-below.ts";
import { createBatchParts } from "./batch-parts.ts";
import { openShardResults, type ShardResults } from "./batch-results.ts";

export type BatchStore = ReturnType<typeof createBatchStore>;

type Deps = { objects: ObjectStore };

const MAX_CONFLICTS = 32;

const Trying = z.object({ line: z.int(), begun: z.int() });
type Trying = z.infer<typeof Trying>;

/** batch.json of each batch and the objects around it. Every method may throw AppError `unavailable`. */
export function createBatchStore({ objects }: Deps) {
  const read = (tenant: string, id: string) => readRecord(objects, keys.batchState(tenant, id), BatchState);

  async function get(tenant: string, id: string): Promise<BatchState | null> {
    return isId(id) ? ((await read(tenant, id))?.value ?? null) : null;
  }

  return {
    get,
    parts: createBatchParts({ objects }),

    /** Keeps the input apart from its file, which may be deleted. False if there is no such file. */
    async keepInput(tenant: string, id: string, file: string): Promise<boolean> {
      return (await objects.copy(keys.file(tenant, file), keys.batchInput(tenant, id))) !== null;
    },

    /** Its input as a whole. Throws AppError `unavailable`. */
    async readInput({ tenant, id }: BatchState): Promise<ReadableStream<Uint8Array>> {
      const input = await objects.getStream(keys.batchInput(tenant, id));
      if (input === null) throw new AppError("unavailable", `the input of batch ${id} is gone`);
      return input.body;
    },

    /** Bytes [start, end) of it. Throws AppError `unavailable`. */
    async readInputRange({ tenant, id }: BatchState, start: number, end: number): Promise<Uint8Array> {
      const bytes = await objects.getRange(keys.batchInput(tenant, id), start, end);
      if (bytes === null) throw new AppError("unavailable", `the input of batch ${id} is gone`);
      return bytes;
    },

    openResults: ({ tenant, id }: BatchState, shard: number): Promise<ShardResults> =>
      openShardResults(objects, keys.batchResults(tenant, id, shard)),

    /** The line of a shard that runs alone, and how often that was begun; see worker/batch/run-shard.ts. */
    async readTrying({ tenant, id }: BatchState, shard: number): Promise<Trying | null> {
      return (await readRecord(objects, keys.batchTrying(tenant, id, shard), Trying))?.value ?? null;
    },
    async writeTrying({ tenant, id }: BatchState, shard: number, trying: Trying): Promise<void> {
      await objects.put(keys.batchTrying(tenant, id, shard), encode(trying));
    },

    /** Removes what was written of a batch that is not to be. */
    discard: (tenant: string, id: string): Promise<void> => removeBelow(objects, keys.batchAll(tenant, id)),

    /** The last step of its making: from here on there is a batch. */
    async create(batch: BatchState): Promise<void> {
      await objects.put(keys.batchIndex(batch.tenant, batch.created_ms, batch.id), new Uint8Array());
      await objects.putIfAbsent(keys.batchState(batch.tenant, batch.id), encode(batch));
    },

    /** Swaps in what `next` makes of the batch; null leaves it as it is. The batch as it then is, or null if there is none. */
    async change(
      tenant: string,
      id: string,
      next: (batch: BatchState) => BatchState | null,
    ): Promise<BatchState | null> {
      for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
        const stored = await read(tenant, id);
        const value = stored && next(stored.value);
        if (value === null) return stored?.value ?? null;
        if ((await objects.compareAndSwap(keys.batchState(tenant, id), stored?.etag ?? "", encode(value))) !== null) {
          return value;
        }
      }
      throw new AppError("unavailable", `batch ${id} changed ${MAX_CONFLICTS} times under one update`);
    },

    /** A tenant's batches, newest first. */
    list(tenant: string, { after, limit }: { after: BatchState | null; limit: number }): Promise<Page<BatchState>> {
      const prefix = keys.batchIndexOf(tenant);
      const name = after && keys.batchIndex(tenant, after.created_ms, after.id).slice(prefix.length);
      return listNewest({ objects, prefix, read: (id) => get(tenant, id) }, { after: name, limit });
    },
  };
}
