import { keys } from "../contract/keys.ts";
import { limits } from "../contract/limits.ts";
import { WorkerReport } from "../contract/worker-report.ts";
import type { ObjectStore } from "./object-store.ts";
import { encode, readRecord } from "./record.ts";

export type WorkerReports = ReturnType<typeof createWorkerReports>;

const readAgainMs = 5_000;
const maxWorkers = 200;
/** A rate of yesterday is still a better guess than none; the object of a worker that is gone for longer is litter. */
const forgetMs = 7 * 24 * 3_600_000;

/** How fast the workers are and what they can hold, by what they say. */
export function createWorkerReports({ objects, now }: { objects: ObjectStore; now: () => number }) {
  let reports: WorkerReport[] = [];
  let reading: Promise<void> | null = null;
  let readMs = Number.NEGATIVE_INFINITY;

  async function read(): Promise<void> {
    try {
      const found = await objects.list(keys.workers, { limit: maxWorkers });
      const records = await Promise.all(found.map(({ key }) => readRecord(objects, key, WorkerReport)));
      reports = records.flatMap((record) => (record === null ? [] : [record.value]));
      readMs = now();
      const forgotten = found.filter((_, index) => (records[index]?.value.updated_ms ?? readMs) < readMs - forgetMs);
      await Promise.all(forgotten.map(({ key }) => objects.delete(key)));
    } finally {
      reading = null;
    }
  }

  return {
    put: (id: string, report: WorkerReport) => objects.put(keys.worker(id), encode(report)),
    remove: (id: string) => objects.delete(keys.worker(id)),

    /** Of the workers of `model`: those that are there, or else the last ones that were. */
    async ofModel(model: string): Promise<{ reports: WorkerReport[]; live: boolean }> {
      if (now() - readMs > readAgainMs) {
        reading ??= read();
        await reading;
      }
      const mine = reports.filter((report) => report.model === model);
      const live = mine.filter(({ updated_ms }) => updated_ms > now() - 3 * limits.workerReportMs);
      if (live.length > 0) return { reports: live, live: true };
      const latest = mine.reduce<WorkerReport | null>((a, b) => (a && a.updated_ms > b.updated_ms ? a : b), null);
      return { reports: latest === null ? [] : [latest], live: false };
    },
  };
}
