import type { JobProgress } from "../../api/contract/job.ts";
import type { Claim } from "../../api/state/jobs/job-claims.ts";
import type { JobStreams } from "../../api/state/jobs/job-streams.ts";
import type { Delay } from "../delay.ts";

export type TextStreamDeps = {
  streams: Pick<JobStreams, "write" | "remove">;
  limits: { streamMs: number };
  now: () => number;
  delay: Delay;
};

type Running = {
  /** The latest, by which it is known whether anybody watches. */
  claim(): Claim;
  progress(): JobProgress;
  /** Of the answers so far what stays of them. */
  texts(): Promise<string[]>;
  log: { warn(fields: object, message: string): void };
};

/** Writes what a job has generated so far, as long as somebody watches and something is new. */
export function streamText(running: Running, { streams, limits, now, delay }: TextStreamDeps) {
  const ended = new AbortController();
  const { tenant, id, attempt } = running.claim().state;
  let written: JobProgress | null = null;

  async function loop(): Promise<void> {
    while (!ended.signal.aborted) {
      await delay(limits.streamMs, ended.signal);
      const watchedUntilMs = running.claim().state.watched_until_ms ?? 0;
      const progress = running.progress();
      if (ended.signal.aborted || watchedUntilMs <= now() || progress === written) continue;
      await write(progress).catch((error) => running.log.warn({ err: error }, "text of a running job not written"));
    }
  }

  async function write(progress: JobProgress): Promise<void> {
    const texts = await running.texts();
    if (ended.signal.aborted) return;
    await streams.write(tenant, id, { version: 1, attempt, progress, texts });
    written = progress;
  }

  const looping = loop();
  return {
    /** Resolves when nothing more will be written. */
    async end(): Promise<void> {
      ended.abort();
      await looping;
    },

    /** The job is over: its result says all that its text did. What stays behind goes with the job. */
    async remove(): Promise<void> {
      if (written === null) return;
      await streams.remove(tenant, id).catch((error) => running.log.warn({ err: error }, "text of a job not removed"));
    },
  };
}
