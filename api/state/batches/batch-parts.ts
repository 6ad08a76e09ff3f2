// The jobs of a batch, as empty objects whose keys say it all. An `open` one is there before its job is, and goes when
// that is over; a `done` one then says what the shard came to. The batch is over when nothing is open any more. No other
// index has these jobs, so what names them stays until the batch is removed.
import type { BatchState } from "../../contract/batch.ts";
import { keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import { listPages } from "../list-pages.ts";
import type { ObjectInfo, ObjectStore } from "../object-store.ts";
import { addCounts, type LineCounts, NO_LINES, readResults } from "./batch-results.ts";

/** A job of a batch: of the validation of its lines (`shard` is null), or of a shard of them. */
export type OpenPart = { shard: number | null; job: string };

export type BatchParts = ReturnType<typeof createBatchParts>;

type Batch = Pick<BatchState, "tenant" | "id">;

const EMPTY = new Uint8Array();
/** More than a batch has shards. */
const PAGE = 2 * limits.batchShards;
/** Counts of results that this process has read. */
const MAX_COUNTED = 4_096;

const nameOf = (shard: number | null): string => (shard === null ? "check" : String(shard).padStart(5, "0"));
const openKey = ({ tenant, id }: Batch, { shard, job }: OpenPart): string =>
  `${keys.batchOpen(tenant, id)}${nameOf(shard)}.${job}`;

export function createBatchParts({ objects }: { objects: ObjectStore }) {
  const counted = new Map<string, { etag: string; bytes: number; counts: LineCounts }>();

  async function listOpen({ tenant, id }: Batch, limit = PAGE): Promise<OpenPart[]> {
    const prefix = keys.batchOpen(tenant, id);
    const found = await objects.list(prefix, { limit });
    return found.map(({ key }) => {
      const [name = "", job = ""] = key.slice(prefix.length).split(".");
      return { shard: name === "check" ? null : Number(name), job };
    });
  }

  async function listDone({ tenant, id }: Batch): Promise<Map<number, LineCounts>> {
    const prefix = keys.batchDone(tenant, id);
    const found = await objects.list(prefix, { limit: PAGE });
    return new Map(found.map(({ key }) => parseDone(key.slice(prefix.length))));
  }

  const listResults = ({ tenant, id }: Batch): Promise<ObjectInfo[]> =>
    objects.list(keys.batchResultsOf(tenant, id), { limit: PAGE });

  /** Of results that grow: what was counted before is not read again. */
  async function count({ key, etag, bytes }: ObjectInfo): Promise<LineCounts> {
    const known = counted.get(key);
    // Or listed before what is known by now.
    if (known !== undefined && (known.etag === etag || known.bytes >= bytes)) return known.counts;
    let counts = known?.counts ?? NO_LINES;
    for await (const line of readResults(objects, key, known?.bytes ?? 0, bytes))
      counts = addCounts(counts, line.counts);
    if (counted.size >= MAX_COUNTED) counted.delete(counted.keys().next().value ?? "");
    counted.set(key, { etag, bytes, counts });
    return counts;
  }

  return {
    listOpen,
    listDone,
    listResults,

    async open(batch: Batch, part: OpenPart): Promise<void> {
      await objects.put(keys.batchJobs(batch.tenant, batch.id) + part.job, EMPTY);
      await objects.put(openKey(batch, part), EMPTY);
    },

    /** Every job that the batch has or had. */
    async listJobs({ tenant, id }: Batch): Promise<string[]> {
      const prefix = keys.batchJobs(tenant, id);
      const jobs: string[] = [];
      for await (const page of listPages(objects, prefix)) {
        jobs.push(...page.map(({ key }) => key.slice(prefix.length)));
      }
      return jobs;
    },

    /** Of a part whose job never came to be, or is over. */
    close: (batch: Batch, part: OpenPart): Promise<void> => objects.delete(openKey(batch, part)),

    async done({ tenant, id }: Batch, shard: number, counts: LineCounts): Promise<void> {
      await objects.put(`${keys.batchDone(tenant, id)}${formatDone(shard, counts)}`, EMPTY);
    },

    /** What all lines came to by now that have a result. */
    async counts(batch: Batch): Promise<LineCounts> {
      const [done, results] = await Promise.all([listDone(batch), listResults(batch)]);
      const running = results.filter(({ key }) => !done.has(shardOfResults(key)));
      return [...done.values(), ...(await Promise.all(running.map(count)))].reduce(addCounts, NO_LINES);
    },
  };
}

export const shardOfResults = (key: string): number => Number(/(\d+)\.jsonl$/.exec(key)?.[1]);

const formatDone = (shard: number, counts: LineCounts): string => {
  const { completed, failed, promptTokens, cachedTokens, completionTokens } = counts;
  return [nameOf(shard), completed, failed, promptTokens, cachedTokens, completionTokens].join(".");
};

function parseDone(name: string): [number, LineCounts] {
  const [shard = 0, completed = 0, failed = 0, promptTokens = 0, cachedTokens = 0, completionTokens = 0] = name
    .split(".")
    .map(Number);
  return [shard, { completed, failed, promptTokens, cachedTokens, completionTokens }];
}
