import { limits } from "../api/contract/limits.ts";
import type { WorkerReport } from "../api/contract/worker-report.ts";
import type { WorkerReports } from "../api/state/worker-reports.ts";
import type { Delay } from "./delay.ts";
import { createReport, type Reported } from "./report.ts";

type Deps = Reported & {
  reports: Pick<WorkerReports, "put">;
  newId: () => string;
  now: () => number;
  delay: Delay;
  log: { error(fields: object, message: string): void };
};

/** Between looks for a first measurement: it is worth telling at once, as nobody can predict anything before it. */
const FIRST_LOOK_MS = 1_000;

/** Tells the api how fast this worker is, until it is stopped; and then that it is gone, so that its rates still serve. */
export function startReporting({ reports, newId, now, delay, log, ...reported }: Deps): { stop(): Promise<void> } {
  const measure = createReport(reported);
  const id = newId();
  const stopped = new AbortController();

  const tell = (report: WorkerReport): Promise<unknown> =>
    reports.put(id, report).catch((error) => log.error({ err: error }, "worker report not written"));

  const isMeasured = ({ prefill_tokens_per_second: prefill, decode_tokens_per_second: decode }: WorkerReport) =>
    prefill !== null && decode !== null;

  async function run(): Promise<void> {
    let told: WorkerReport | null = null;
    while (!stopped.signal.aborted) {
      const report = measure(now(), false);
      const isFirst = told === null || isMeasured(report) !== isMeasured(told);
      if (isFirst || report.updated_ms - (told?.updated_ms ?? 0) >= limits.workerReportMs) {
        await tell(report);
        told = report;
      }
      await delay(isMeasured(report) ? limits.workerReportMs : FIRST_LOOK_MS, stopped.signal);
    }
  }

  const running = run();
  return {
    async stop() {
      stopped.abort();
      await running;
      await tell(measure(now(), true));
    },
  };
}
