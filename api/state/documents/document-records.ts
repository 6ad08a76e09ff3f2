import { DocumentInfo } from "../../contract/document.ts";
import { AppError } from "../../contract/errors.ts";
import { isId, keys } from "../../contract/keys.ts";
import type { ObjectStore, Put } from "../object-store.ts";
import { encode, readRecord, type Stored } from "../record.ts";

type Deps = { objects: ObjectStore; now: () => number; retentionMs: number };

/** A removal that has taken longer has died. */
const removalMs = 3_600_000;

/**
 * info.json of each document, by which it exists. A document that is sent again in the second half of its time is written
 * anew, and then has all its time before it. Its removal begins with a swap of the same object: of a removal and a
 * writing of one document only one goes on.
 */
export function createDocumentRecords({ objects, now, retentionMs }: Deps) {
  const read = (tenant: string, id: string) => readRecord(objects, keys.documentInfo(tenant, id), DocumentInfo);

  const isGoing = ({ removing_ms }: DocumentInfo): boolean =>
    removing_ms !== undefined && removing_ms + removalMs > now();

  /** Whether it will be there for long enough to be left as it is. */
  const isFresh = ({ removing_ms, created_ms }: DocumentInfo): boolean =>
    removing_ms === undefined && created_ms + retentionMs / 2 > now();

  const isKept = ({ removing_ms, created_ms }: DocumentInfo): boolean =>
    removing_ms === undefined && created_ms + retentionMs > now();

  async function get(tenant: string, id: string): Promise<DocumentInfo | null> {
    const info = isId(id) ? ((await read(tenant, id))?.value ?? null) : null;
    return info !== null && isKept(info) ? info : null;
  }

  const entry = (tenant: string, { id, created_ms }: DocumentInfo): Put => ({
    key: keys.documentIndex(tenant, created_ms, id),
    body: new Uint8Array(),
  });

  /**
   * Makes the document, unless somebody else just did: step after step, so that what breaks off is tried again as a whole.
   * What breaks off within leaves an entry of the index, of another time than the document's; a listing passes over it.
   */
  async function make(tenant: string, info: DocumentInfo, first: Put[]) {
    const last: Put = { key: keys.documentInfo(tenant, info.id), body: encode(info), ifAbsent: true };
    const made = await objects.putSteps([...(first.length > 0 ? [first] : []), [entry(tenant, info)], [last]]);
    if (!made.at(-1)?.includes(null)) return { info, created: true };
    const winner = (await read(tenant, info.id))?.value ?? info;
    if (winner.created_ms !== info.created_ms) await objects.delete(entry(tenant, info).key);
    if (winner.removing_ms !== undefined) throw going(info.id);
    return { info: winner, created: false };
  }

  async function renew(tenant: string, info: DocumentInfo, found: Stored<DocumentInfo>, first: Put[]) {
    await objects.putSteps([...(first.length > 0 ? [first] : []), [entry(tenant, info)]]);
    const swapped = await objects.compareAndSwap(keys.documentInfo(tenant, info.id), found.etag, encode(info));
    if (swapped === null) throw going(info.id);
    if (found.value.created_ms !== info.created_ms) await objects.delete(entry(tenant, found.value).key);
    return { info, created: !isKept(found.value) };
  }

  return {
    read,
    /** Null also for what is past its retention. */
    get,
    isFresh,

    /** Of what is not fresh, or not there: `found` says what is. Throws AppError `unavailable` while it is being removed. */
    async publish(
      tenant: string,
      info: DocumentInfo,
      found: Stored<DocumentInfo> | null,
      first: Put[] = [],
    ): Promise<{ info: DocumentInfo; created: boolean }> {
      if (found === null) return make(tenant, info, first);
      if (isGoing(found.value)) throw going(info.id);
      return renew(tenant, info, found, first);
    },

    /** False if somebody writes it, or removes it, at this moment. Else nobody does before its info is deleted, or for an hour. */
    async beginRemoval(tenant: string, id: string): Promise<boolean> {
      const found = await read(tenant, id);
      const key = keys.documentInfo(tenant, id);
      const removing_ms = now();
      if (found === null) {
        const none = { id, media_type: "text/plain", bytes: 0, created_ms: 0, removing_ms } satisfies DocumentInfo;
        return (await objects.putIfAbsent(key, encode(none))) !== null;
      }
      if (isKept(found.value) || isGoing(found.value)) return false;
      return (await objects.compareAndSwap(key, found.etag, encode({ ...found.value, removing_ms }))) !== null;
    },
  };
}

const going = (id: string): AppError =>
  new AppError("unavailable", `document ${id} is being removed or written by another request`);
