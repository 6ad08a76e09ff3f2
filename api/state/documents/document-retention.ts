import { keys } from "../../contract/keys.ts";
import type { JobStore } from "../jobs/job-store.ts";
import { listPages } from "../list-pages.ts";
import { createLitter, listFolders } from "../litter.ts";
import type { ObjectStore } from "../object-store.ts";
import { removeBelow } from "../remove-below.ts";
import { createDocumentRecords } from "./document-records.ts";

type Deps = {
  objects: ObjectStore;
  jobs: Pick<JobStore, "index" | "getRequest">;
  retentionMs: number;
  now: () => number;
};

/** No job can name a document that is past its retention: so much later all that name it are listed. */
const graceMs = 3_600_000;
const pageSize = 1_000;

/**
 * Removes the documents of a tenant that are past their retention, but for those that a job that is not over still reads;
 * how many.
 */
export function createDocumentRetention({ objects, jobs, retentionMs, now }: Deps) {
  const records = createDocumentRecords({ objects, now, retentionMs });
  const litter = createLitter({ now });

  /** The info goes last but for the entry, by which it is found again: until then nobody writes the document anew. */
  async function remove(tenant: string, id: string, entry: string | null): Promise<boolean> {
    if (!(await records.beginRemoval(tenant, id))) return false;
    const info = keys.documentInfo(tenant, id);
    await removeBelow(objects, keys.documentAll(tenant, id), info);
    await objects.delete(info);
    if (entry !== null) await objects.delete(entry);
    return true;
  }

  /** Documents by id, with their entries. Entries that stand for none, or not for it any more, go at once. */
  async function readDue(tenant: string, entries: readonly string[]): Promise<Map<string, string>> {
    const due = new Map<string, string>();
    for (const entry of entries) {
      const id = entry.slice(entry.indexOf("-", keys.documentIndexOf(tenant).length) + 1);
      const info = (await records.read(tenant, id))?.value;
      if (info !== undefined && entry === keys.documentIndex(tenant, info.created_ms, id)) due.set(id, entry);
      else await objects.delete(entry);
    }
    return due;
  }

  async function keepNamed(tenant: string, due: Map<string, string>): Promise<void> {
    for (let after: string | undefined; due.size > 0; ) {
      const { entries, next } = await jobs.index.listActive(keys.activeOf(tenant), { after, limit: pageSize });
      for (const { job } of entries) {
        const request = await jobs.getRequest(tenant, job);
        for (const id of request?.input.document_ids ?? []) due.delete(id);
      }
      if (next === null) return;
      after = next;
    }
  }

  async function removeOld(tenant: string): Promise<number> {
    const prefix = keys.documentIndexOf(tenant);
    let removed = 0;
    const after = keys.documentIndexFrom(tenant, now() - retentionMs - graceMs);
    for await (const page of listPages(objects, prefix, { after, pageSize })) {
      const due = await readDue(
        tenant,
        page.map(({ key }) => key),
      );
      await keepNamed(tenant, due);
      for (const [id, entry] of due) if (await remove(tenant, id, entry)) removed += 1;
    }
    return removed;
  }

  /** Texts of which no document was made. */
  async function removeLitter(tenant: string): Promise<void> {
    const prefix = keys.documentsOf(tenant);
    for await (const folder of listFolders(objects, prefix, "info.json")) {
      if (litter.isLitter(folder) && (await remove(tenant, folder.prefix.slice(prefix.length, -1), null))) {
        litter.forget(folder.prefix);
      }
    }
  }

  return async (tenant: string): Promise<number> => {
    const removed = retentionMs === Number.POSITIVE_INFINITY ? 0 : await removeOld(tenant);
    await removeLitter(tenant);
    return removed;
  };
}
