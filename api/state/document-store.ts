import { createHash } from "node:crypto";
import { DocumentInfo } from "../contract/document.ts";
import { isId, keys } from "../contract/keys.ts";
import type { ObjectStore } from "./object-store.ts";
import { encode, readRecord } from "./record.ts";

export type DocumentStore = ReturnType<typeof createDocumentStore>;

/** Texts by content hash: the same text of a tenant is stored once. Every method may throw AppError `unavailable`. */
export function createDocumentStore({ objects, now }: { objects: ObjectStore; now: () => number }) {
  return {
    /** `created` is false if the tenant had sent this text before. Bytes are of its UTF-8 form. */
    async putDocument(tenant: string, text: string): Promise<{ id: string; bytes: number; created: boolean }> {
      const body = Buffer.from(text);
      const id = `doc_${createHash("sha256").update(body).digest("hex").slice(0, 40)}`;
      const info: DocumentInfo = { id, bytes: body.length, created_ms: now() };
      // Both tried even if one was there: an earlier put may have broken off between the two.
      const [etag] = await Promise.all([
        objects.putIfAbsent(keys.document(tenant, id), body),
        objects.putIfAbsent(keys.documentInfo(tenant, id), encode(info)),
      ]);
      return { id, bytes: body.length, created: etag !== null };
    },

    async getDocumentText(tenant: string, id: string): Promise<string | null> {
      const object = isId(id) ? await objects.get(keys.document(tenant, id)) : null;
      return object === null ? null : Buffer.from(object.body).toString();
    },

    async getDocumentInfo(tenant: string, id: string): Promise<DocumentInfo | null> {
      return isId(id)
        ? ((await readRecord(objects, keys.documentInfo(tenant, id), DocumentInfo))?.value ?? null)
        : null;
    },
  };
}
