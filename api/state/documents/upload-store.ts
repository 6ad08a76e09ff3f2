import { type DocumentType, UploadInfo } from "../../contract/document.ts";
import { isId, keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import { listPages } from "../list-pages.ts";
import type { ObjectStore } from "../object-store.ts";
import { encode, readRecord } from "../record.ts";

export type UploadStore = ReturnType<typeof createUploadStore>;

type Deps = { objects: ObjectStore; now: () => number; newId: () => string };

/** Uploads by presigned URL, from their announcement to the document that they become. */
export function createUploadStore({ objects, now, newId }: Deps) {
  return {
    /** The id tells the age, so that a listing is enough to find litter. */
    newId: (): string => `up_${now()}_${newId()}`,

    async begin(tenant: string, type: DocumentType): Promise<UploadInfo & { url: string }> {
      const id = this.newId();
      const expires_ms = now() + limits.presignSeconds * 1000;
      const info: UploadInfo = { id, media_type: type, expires_ms };
      await objects.putIfAbsent(keys.uploadInfo(tenant, id), encode(info));
      return { ...info, url: await objects.presign(keys.upload(tenant, id), "PUT", limits.presignSeconds) };
    },

    async find(tenant: string, id: string): Promise<UploadInfo | null> {
      return isId(id) ? ((await readRecord(objects, keys.uploadInfo(tenant, id), UploadInfo))?.value ?? null) : null;
    },

    /** Bytes that have come; null if none have. */
    async size(tenant: string, id: string): Promise<number | null> {
      const key = keys.upload(tenant, id);
      return (await objects.list(key, { limit: 1 })).find((object) => object.key === key)?.bytes ?? null;
    },

    async end(tenant: string, id: string): Promise<void> {
      await objects.delete(keys.upload(tenant, id));
      await objects.delete(keys.uploadInfo(tenant, id));
    },

    /** Removes what was begun more than a day ago and never finished. The number of objects removed. */
    async sweep(): Promise<number> {
      let removed = 0;
      for await (const page of listPages(objects, keys.uploads)) {
        for (const { key } of page) {
          const begunMs = Number(/\/up_(\d+)_/.exec(key)?.[1] ?? 0);
          if (begunMs > now() - limits.uploadMs) continue;
          await objects.delete(key);
          removed += 1;
        }
      }
      return removed;
    },
  };
}
