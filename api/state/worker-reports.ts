import { keys } from "../contract/keys.ts";
import { limits } from "../contract/limits.ts";
import { WorkerReport } from "../contract/worker-report.ts";
import type { ObjectStore } from "./object-store.ts";
import { encode, readRecord } from "./record.ts";

export type WorkerReports = ReturnType<typeof createWorkerReports>;

const readAgainMs = 5_000;
const maxWorkers = 200;
/** A rate of yesterday is still a better guess than none: of each model the last report stays so long, */
const forgetMs = 7 * 24 * 3_600_000;
/** and of the other workers that are gone so long. Workers that come and go must not fill the listing. */
const forgetOthersMs = 10 * 60_000;

/** How fast the workers are and what they can hold, by what they say. */
export function createWorkerReports({ objects, now }: { objects: ObjectStore; now: () => number }) {
  let reports: WorkerReport[] = [];
  let reading: Promise<void> | null = null;
  let readMs = Number.NEGATIVE_INFINITY;

  async function read(): Promise<void> {
    try {
      const found = await objects.list(keys.workers, { limit: maxWorkers });
      const records = await Promise.all(
        found.map(async ({ key }) => ({ key, report: (await readRecord(objects, key, WorkerReport))?.value })),
      );
      reports = records.flatMap(({ report }) => (report === undefined ? [] : [report]));
      readMs = now();
      const forgotten = records.filter(({ report }) => report !== undefined && isForgotten(report));
      await Promise.all(forgotten.map(({ key }) => objects.delete(key)));
    } finally {
      reading = null;
    }
  }

  const latestOf = (model: string): WorkerReport | null =>
    reports
      .filter((report) => report.model === model)
      .reduce<WorkerReport | null>((a, b) => (a && a.updated_ms > b.updated_ms ? a : b), null);

  const isForgotten = (report: WorkerReport): boolean =>
    report.updated_ms < readMs - (report === latestOf(report.model) ? forgetMs : forgetOthersMs);

  return {
    put: (id: string, report: WorkerReport) => objects.put(keys.worker(id), encode(report)),

    /** Of the workers of `model`: those that are there, or else the last ones that were. */
    async ofModel(model: string): Promise<{ reports: WorkerReport[]; live: boolean }> {
      // Or the clock was put back.
      if (now() - readMs > readAgainMs || now() < readMs) {
        reading ??= read();
        await reading;
      }
      const since = now() - 3 * limits.workerReportMs;
      const live = reports.filter((report) => report.model === model && !report.stopping && report.updated_ms > since);
      if (live.length > 0) return { reports: live, live: true };
      const latest = latestOf(model);
      return { reports: latest === null ? [] : [latest], live: false };
    },
  };
}
