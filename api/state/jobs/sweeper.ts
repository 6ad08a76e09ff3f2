import { setTimeout as delay } from "node:timers/promises";
import type { JobStore } from "./job-store.ts";

type Deps = {
  jobs: Pick<JobStore, "sweep">;
  everyMs: number;
  log: { info(fields: object, message: string): void; error(fields: object, message: string): void };
};

/** Sweeps page after page of the active jobs, one each `everyMs` or so, until it is stopped. */
export function startSweeper({ jobs, everyMs, log }: Deps): { stop(): Promise<void> } {
  const stopping = new AbortController();

  async function run(): Promise<void> {
    let after: string | undefined;
    while (!stopping.signal.aborted) {
      try {
        const { next, ...done } = await jobs.sweep(after);
        after = next ?? undefined;
        if (done.sent + done.discarded + done.ended > 0) log.info(done, "swept active jobs");
      } catch (error) {
        log.error({ err: error }, "sweep failed");
      }
      // Not all processes at once.
      const pause = everyMs * (0.75 + Math.random() / 2);
      await delay(pause, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
    }
  }

  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
