import { FileInfo, type FilePurpose } from "../../contract/file.ts";
import { isId, keys } from "../../contract/keys.ts";
import { listNewest, listOldest, type Page } from "../newest-first.ts";
import type { ObjectStore, StreamedObject } from "../object-store.ts";
import { encode, readRecord } from "../record.ts";

export type FileStore = ReturnType<typeof createFileStore>;

type Deps = { objects: ObjectStore; now: () => number; newId: () => string };

type NewFile = {
  id: string;
  filename: string;
  purpose: FilePurpose;
  bytes: number;
  /** After it was made; null: as long as its bucket keeps it. */
  expirySeconds: number | null;
};

export type ListFiles = { after: FileInfo | null; limit: number; order: "asc" | "desc"; purpose: string | undefined };

/** What goes into batches and comes out of them. A file never changes. Every method may throw AppError `unavailable`. */
export function createFileStore({ objects, now, newId }: Deps) {
  async function remove(tenant: string, { id, created_ms }: FileInfo): Promise<void> {
    await objects.delete(keys.fileInfo(tenant, id));
    await objects.delete(keys.fileIndex(tenant, created_ms, id));
    await objects.delete(keys.file(tenant, id));
  }

  /** Null if there is none. One whose time has come is removed as soon as somebody looks. */
  async function get(tenant: string, id: string): Promise<FileInfo | null> {
    if (!isId(id)) return null;
    const info = (await readRecord(objects, keys.fileInfo(tenant, id), FileInfo))?.value ?? null;
    if (info === null || info.expires_ms === null || info.expires_ms > now()) return info;
    await remove(tenant, info);
    return null;
  }

  return {
    get,

    newId: (): string => `file-${newId()}`,

    /** Takes content in as it comes. The file does not exist before it is published; throws what the body throws. */
    async write(tenant: string, id: string, body: AsyncIterable<Uint8Array>): Promise<{ bytes: number }> {
      return objects.putStream(keys.file(tenant, id), body);
    },

    /** Makes written content a file. A repetition finds the file as it is. */
    async publish(tenant: string, { id, filename, purpose, bytes, expirySeconds }: NewFile): Promise<FileInfo> {
      const created_ms = now();
      const expires_ms = expirySeconds === null ? null : created_ms + expirySeconds * 1000;
      const info: FileInfo = { id, filename, purpose, bytes, created_ms, expires_ms };
      await objects.put(keys.fileIndex(tenant, created_ms, id), new Uint8Array());
      const etag = await objects.putIfAbsent(keys.fileInfo(tenant, id), encode(info));
      if (etag !== null) return info;
      await objects.delete(keys.fileIndex(tenant, created_ms, id));
      return (await get(tenant, id)) ?? info;
    },

    /** Removes what was written of a file that is not to be; where the answer of its publishing was lost, that too. */
    async discard(tenant: string, id: string): Promise<void> {
      await objects.delete(keys.fileInfo(tenant, id));
      await objects.delete(keys.file(tenant, id));
    },

    async stream(tenant: string, id: string): Promise<StreamedObject | null> {
      return isId(id) ? objects.getStream(keys.file(tenant, id)) : null;
    },

    /** False if there is none. */
    async delete(tenant: string, id: string): Promise<boolean> {
      const info = await get(tenant, id);
      if (info !== null) await remove(tenant, info);
      return info !== null;
    },

    async list(tenant: string, { after, limit, order, purpose }: ListFiles): Promise<Page<FileInfo>> {
      const prefix = keys.fileIndexOf(tenant);
      const read = async (id: string) => {
        const info = await get(tenant, id);
        return purpose === undefined || info?.purpose === purpose ? info : null;
      };
      const name = after && keys.fileIndex(tenant, after.created_ms, after.id).slice(prefix.length);
      const list = order === "asc" ? listOldest : listNewest;
      return list({ objects, prefix, read }, { after: name, limit });
    },
  };
}
