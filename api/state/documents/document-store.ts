import { createHash, type Hash } from "node:crypto";
import { type DocumentInfo, type DocumentType, isTextType } from "../../contract/document.ts";
import { AppError } from "../../contract/errors.ts";
import { entryMs, isId, keys } from "../../contract/keys.ts";
import { utf8Only } from "../byte-streams.ts";
import { listNewest, type Page } from "../newest-first.ts";
import type { ObjectStore } from "../object-store.ts";
import { removeBelow } from "../remove-below.ts";
import { createDocumentRecords } from "./document-records.ts";

export type DocumentStore = ReturnType<typeof createDocumentStore>;

/** Turns what was sent into UTF-8 text. Throws AppError `document_unreadable`. */
export type Convert = (source: ReadableStream<Uint8Array>, type: DocumentType) => AsyncIterable<Uint8Array>;

/** Bytes that were sent, in the store but no document yet. */
export type Staged = { key: string; bytes: number; id: string; type: DocumentType };

/** No document is so long in the making. */
const litterMs = 3_600_000;

type Deps = {
  objects: ObjectStore;
  now: () => number;
  /** A document is kept for this long after it was last sent. Default: as long as its store keeps it. */
  retentionMs?: number;
};

/** Texts by content hash: the same content of a tenant is stored once. Every method may throw AppError `unavailable`. */
export function createDocumentStore({ objects, now, retentionMs = Number.POSITIVE_INFINITY }: Deps) {
  const records = createDocumentRecords({ objects, now, retentionMs });
  const { get: getInfo } = records;

  /** The document of an entry of the index. One that none stands behind is removed, once nobody can be about to make it. */
  async function listed(tenant: string, id: string, entry: string): Promise<DocumentInfo | null> {
    const info = (await records.read(tenant, id))?.value;
    if (info !== undefined && entry === keys.documentIndex(tenant, info.created_ms, id)) return getInfo(tenant, id);
    if (entryMs(entry) + litterMs < now()) await objects.delete(entry);
    return null;
  }

  return {
    /** `created` is false if the tenant had sent this text before. Bytes are of its UTF-8 form. */
    async putDocument(tenant: string, text: string): Promise<{ id: string; bytes: number; created: boolean }> {
      const body = Buffer.from(text);
      const id = idOf(createHash("sha256").update(body));
      const found = await records.read(tenant, id);
      if (found !== null && records.isFresh(found.value)) return { id, bytes: body.length, created: false };
      const info: DocumentInfo = { id, media_type: "text/plain", bytes: body.length, created_ms: now() };
      const { created } = await records.publish(tenant, info, found, [{ key: keys.document(tenant, id), body }]);
      return { id, bytes: body.length, created };
    },

    /** Takes a body in as it comes, and hashes it on its way. Throws what the body throws, and `invalid_request` for text that is not UTF-8. */
    async stage(tenant: string, upload: string, type: DocumentType, body: AsyncIterable<Uint8Array>): Promise<Staged> {
      const key = keys.upload(tenant, upload);
      const hash = hashFor(type);
      const { bytes } = await objects.putStream(key, hashed(isTextType(type) ? utf8Only(body) : body, hash));
      return { key, bytes, id: idOf(hash), type };
    },

    /**
     * As stage, of a copy of what has come through a presigned URL: until that has expired, whoever has it may put
     * something else in its place. Null if nothing has come. Text is checked as well.
     */
    async stageUploaded(tenant: string, upload: string, copy: string, type: DocumentType): Promise<Staged | null> {
      const key = keys.upload(tenant, copy);
      if ((await objects.copy(keys.upload(tenant, upload), key)) === null) return null;
      try {
        const object = await objects.getStream(key);
        if (object === null) return null;
        const hash = hashFor(type);
        let bytes = 0;
        for await (const chunk of hashed(isTextType(type) ? utf8Only(object.body) : object.body, hash)) {
          bytes += chunk.length;
        }
        return { key, bytes, id: idOf(hash), type };
      } catch (error) {
        await objects.delete(key);
        throw error;
      }
    },

    discard: ({ key }: Staged): Promise<void> => objects.delete(key),

    /** Makes staged bytes a document, or finds the one they are already. The staged object is gone afterwards. */
    async store(tenant: string, staged: Staged, convert: Convert): Promise<{ info: DocumentInfo; created: boolean }> {
      const { key, bytes, id, type } = staged;
      try {
        const earlier = await records.read(tenant, id);
        if (earlier !== null && records.isFresh(earlier.value)) return { info: earlier.value, created: false };
        const info: DocumentInfo = { id, media_type: type, bytes, created_ms: now() };
        if (isTextType(type)) {
          await objects.copy(key, keys.document(tenant, id));
        } else {
          const source = await objects.getStream(key);
          if (source === null) throw new AppError("unavailable", "a staged upload is gone");
          const text = await objects.putStream(keys.document(tenant, id), convert(source.body, type));
          info.text_bytes = text.bytes;
          await objects.copy(key, keys.documentSource(tenant, id));
        }
        const found = await records.read(tenant, id);
        if (found !== null && records.isFresh(found.value)) return { info: found.value, created: true };
        return { info: (await records.publish(tenant, info, found)).info, created: true };
      } finally {
        await objects.delete(key);
      }
    },

    async getDocumentText(tenant: string, id: string): Promise<string | null> {
      const object = isId(id) ? await objects.get(keys.document(tenant, id)) : null;
      return object === null ? null : Buffer.from(object.body).toString();
    },

    async streamText(tenant: string, id: string): Promise<ReadableStream<Uint8Array> | null> {
      return isId(id) ? ((await objects.getStream(keys.document(tenant, id)))?.body ?? null) : null;
    },

    getDocumentInfo: getInfo,

    /** A URL that reads the text, or what was sent, without credentials. */
    async presign(tenant: string, info: DocumentInfo, of: "text" | "source", seconds: number): Promise<string> {
      const asSent = of === "source" && !isTextType(info.media_type);
      const key = asSent ? keys.documentSource(tenant, info.id) : keys.document(tenant, info.id);
      return objects.presign(key, "GET", seconds);
    },

    /** A tenant's documents, newest first. */
    async list(tenant: string, page: { after: string | null; limit: number }): Promise<Page<DocumentInfo>> {
      const prefix = keys.documentIndexOf(tenant);
      return listNewest({ objects, prefix, read: (id, name) => listed(tenant, id, prefix + name) }, page);
    },

    /** Removes the document and everything below it. False if there is none, though what a broken-off try left goes too. */
    async delete(tenant: string, id: string): Promise<boolean> {
      const info = await getInfo(tenant, id);
      if (!isId(id)) return false;
      await objects.delete(keys.documentInfo(tenant, id));
      if (info !== null) await objects.delete(keys.documentIndex(tenant, info.created_ms, id));
      await removeBelow(objects, keys.documentAll(tenant, id));
      return info !== null;
    },
  };
}

const idOf = (hash: Hash): string => `doc_${hash.digest("hex").slice(0, 40)}`;

/** The same bytes make another text where they are of another type, and so another document. */
function hashFor(type: DocumentType): Hash {
  const hash = createHash("sha256");
  return isTextType(type) ? hash : hash.update(`${type}\n`);
}

async function* hashed(body: AsyncIterable<Uint8Array>, hash: Hash) {
  for await (const chunk of body) {
    hash.update(chunk);
    yield chunk;
  }
}

/** What may stand for a place in the listing of a tenant's documents. */
export const DOCUMENT_CURSOR = /^\d{13}-[A-Za-z0-9_-]{1,128}$/;
