import { entryMs, keys } from "../../contract/keys.ts";
import { listPages } from "../list-pages.ts";
import { createLitter, listFolders } from "../litter.ts";
import type { ObjectStore } from "../object-store.ts";
import { removeBelow } from "../remove-below.ts";
import type { FileStore } from "./file-store.ts";

type Deps = { objects: ObjectStore; files: FileStore; retentionMs: number; now: () => number };

const pageSize = 100;
/** No file is so long between its entry and its info. */
const litterMs = 3_600_000;

/**
 * Removes the files of a tenant that have expired, by their own time or by that of all; how many. No job reads a file: a
 * batch has a copy of its input.
 */
export function createFileRetention({ objects, files, retentionMs, now }: Deps) {
  const litter = createLitter({ now });

  async function isRemoved(tenant: string, id: string, entry: string): Promise<boolean> {
    // Removes it, if it has a time of its own and that has come.
    const info = await files.get(tenant, id);
    if (info !== null && info.created_ms + retentionMs <= now()) return files.delete(tenant, id);
    const isOwn = info !== null && entry === keys.fileIndex(tenant, info.created_ms, id);
    if (isOwn) return false;
    const isLeft = (await objects.list(entry, { limit: 1 })).some(({ key }) => key === entry);
    if (isLeft && entryMs(entry) + litterMs < now()) await objects.delete(entry);
    return !isLeft;
  }

  async function removeOld(tenant: string): Promise<number> {
    const prefix = keys.fileIndexOf(tenant);
    let removed = 0;
    for await (const page of listPages(objects, prefix, { pageSize })) {
      for (const { key } of page) {
        if (await isRemoved(tenant, key.slice(key.indexOf("-", prefix.length) + 1), key)) removed += 1;
      }
    }
    return removed;
  }

  /** Contents that were never published. */
  async function removeLitter(tenant: string): Promise<void> {
    for await (const folder of listFolders(objects, keys.filesOf(tenant), "info.json")) {
      if (!litter.isLitter(folder)) continue;
      await removeBelow(objects, folder.prefix);
      litter.forget(folder.prefix);
    }
  }

  return async (tenant: string): Promise<number> => {
    const removed = await removeOld(tenant);
    await removeLitter(tenant);
    return removed;
  };
}
