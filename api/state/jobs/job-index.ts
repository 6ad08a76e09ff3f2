// Two indexes of jobs, of empty objects whose keys say it all.
//
// `ix` lists every job of a tenant, newest first. `active` lists the jobs that are not over. An entry is there before
// anything else of its job, and goes when nothing of it is owed any more: neither sending nor telling of its end. So
// whatever a crash leaves undone is found below `active/`. Its body is empty until the job's message has been sent,
// which a listing shows by the size.
import { type JobState, Priority } from "../../contract/job.ts";
import { keys } from "../../contract/keys.ts";
import type { Etag, ObjectInfo, ObjectStore, Put } from "../object-store.ts";

export type ActiveEntry = {
  key: string;
  etag: Etag;
  tenant: string;
  job: string;
  createdMs: number;
  priority: Priority;
  promptTokens: number;
  completionTokens: number;
  /** Its message has been sent at least once. */
  sent: boolean;
};

export type JobIndex = ReturnType<typeof createJobIndex>;

const EMPTY = new Uint8Array();
const pattern = /^active\/([^/]+)\/(\d+)-([^/.]+)\.(\d)\.(\d+)\.(\d+)$/;

export type IndexedJob = Pick<JobState, "tenant" | "id" | "created_ms" | "priority" | "reserved">;

export const activeKey = ({ tenant, id, created_ms, priority, reserved }: IndexedJob): string =>
  `${keys.activeOf(tenant)}${created_ms}-${id}.` +
  `${Priority.options.indexOf(priority)}.${reserved.prompt_tokens}.${reserved.completion_tokens}`;

/** Before all else of a job: from here on it is found, however far its submit comes. */
export const activeEntry = (job: IndexedJob): Put => ({ key: activeKey(job), body: EMPTY });

/** What lists the job among its tenant's. */
export const listEntry = ({ tenant, created_ms, id }: IndexedJob): Put => ({
  key: keys.jobIndex(tenant, created_ms, id),
  body: EMPTY,
});

export function createJobIndex({ objects }: { objects: ObjectStore }) {
  return {
    /** Notes that the message was sent. Nothing happens if the entry has changed or gone: then the job is over already. */
    async markSent(key: string, etag: Etag, sentMs: number): Promise<void> {
      await objects.compareAndSwap(key, etag, Buffer.from(String(sentMs)));
    },

    /** When the message was sent last; null if never, or if the entry is gone. */
    async sentMs(key: string): Promise<number | null> {
      const object = await objects.get(key);
      return object === null || object.body.length === 0 ? null : Number(Buffer.from(object.body).toString());
    },

    closeActive: (key: string): Promise<void> => objects.delete(key),

    /** A page of the active jobs, of one tenant or of all, by tenant and age. `next` continues after it; null at the end. */
    async listActive(
      prefix: string,
      { after, limit }: { after?: string | undefined; limit: number },
    ): Promise<{ entries: ActiveEntry[]; next: string | null }> {
      const found = await objects.list(prefix, { limit, ...(after === undefined ? {} : { after }) });
      const entries = found.map(parseActive).filter((entry) => entry !== null);
      return { entries, next: found.length < limit ? null : (found.at(-1)?.key ?? null) };
    },

    remove: ({ tenant, created_ms, id }: IndexedJob): Promise<void> =>
      objects.delete(keys.jobIndex(tenant, created_ms, id)),

    /** A tenant's jobs, newest first. `cursor` continues the listing after its job. */
    async list(
      tenant: string,
      { after = null, limit }: { after?: string | null; limit: number },
    ): Promise<{ job: string; cursor: string }[]> {
      const prefix = keys.jobIndexOf(tenant);
      const found = await objects.list(prefix, { limit, ...(after === null ? {} : { after: prefix + after }) });
      return found.map(({ key }) => {
        const cursor = key.slice(prefix.length);
        return { job: cursor.slice(cursor.indexOf("-") + 1), cursor };
      });
    },
  };
}

function parseActive({ key, etag, bytes }: ObjectInfo): ActiveEntry | null {
  const [, tenant = "", createdMs, job = "", priority, promptTokens, completionTokens] = pattern.exec(key) ?? [];
  if (createdMs === undefined) return null;
  return {
    key,
    etag,
    tenant,
    job,
    createdMs: Number(createdMs),
    priority: Priority.options[Number(priority)] ?? "normal",
    promptTokens: Number(promptTokens),
    completionTokens: Number(completionTokens),
    sent: bytes > 0,
  };
}

/** What may stand for a place in the listing of a tenant's jobs. */
export const CURSOR = /^\d{13}-[A-Za-z0-9_-]{1,128}$/;
