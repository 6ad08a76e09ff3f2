import { setTimeout as delay } from "node:timers/promises";
import { isTerminal, type JobProgress, type JobState } from "../../contract/job.ts";
import type { JobResult } from "../../contract/job-result.ts";
import type { JobStream } from "../../contract/job-stream.ts";
import { limits } from "../../contract/limits.ts";
import type { JobStore } from "../../state/jobs/job-store.ts";
import type { JobStreams } from "../../state/jobs/job-streams.ts";
import { readResult } from "./read-job.ts";
import type { Added, SentText } from "./sent-text.ts";

export type JobUpdate =
  /** First of all, and whenever its status or attempt has changed. */
  | { type: "state"; state: JobState }
  | { type: "progress"; progress: JobProgress }
  /** The text so far does not count any more: another attempt says something else. */
  | { type: "reset" }
  | ({ type: "text" } & Added)
  /** The last one. Everything of the result's text has come before. */
  | { type: "end"; state: JobState; result: JobResult | null };

export type FollowDeps = {
  jobs: Pick<JobStore, "get" | "getResult" | "getPartial" | "watch">;
  streams: JobStreams;
  now: () => number;
};

/**
 * What happens to a job, from its state now to its end; whichever worker has it. Reads only the store, so it can go on
 * in another process. Ends without `end` if the signal is aborted or the job is deleted.
 */
export async function* followJob(
  first: JobState,
  { jobs, streams, now }: FollowDeps,
  { sent, signal }: { sent: SentText; signal: AbortSignal },
): AsyncGenerator<JobUpdate> {
  const { tenant, id } = first;
  let seen: JobState | null = null;
  let told: JobProgress | null = null;
  let watchedUntilMs = 0;
  for (let state: JobState | null = first; state !== null; state = await jobs.get(tenant, id)) {
    if (state.status !== seen?.status || state.attempt !== seen.attempt) yield { type: "state", state };
    // That of an earlier attempt may be a stray worker's.
    const stream = state.status === "running" ? ofAttempt(await streams.read(tenant, id), state.attempt) : null;
    const progress = further(state.progress, stream?.progress);
    if (!isSame(progress, told)) yield { type: "progress", progress };
    told = progress;
    seen = state;
    if (isTerminal(state.status)) {
      const result = await readResult(jobs, state);
      if (result !== null)
        yield* textUpdates(
          result.answers.map(({ answer }) => answer),
          true,
        );
      yield { type: "end", state, result };
      return;
    }
    if (watchedUntilMs - now() < limits.watchMs / 2) {
      watchedUntilMs = now() + limits.watchMs;
      await jobs.watch(tenant, id, watchedUntilMs);
    }
    if (stream !== null) yield* textUpdates(stream.texts, false);
    await delay(limits.followPollMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
  }

  function* textUpdates(texts: readonly string[], isFinal: boolean): Generator<JobUpdate> {
    const { reset, added } = sent.advance(texts, isFinal);
    if (reset) yield { type: "reset" };
    for (const piece of added) yield { type: "text", ...piece };
  }
}

const ofAttempt = (stream: JobStream | null, attempt: number): JobStream | null =>
  stream?.attempt === attempt ? stream : null;

/** State and stream are written by turns. */
const further = (a: JobProgress, b: JobProgress | undefined): JobProgress =>
  b !== undefined && b.prefill_tokens + b.generated_tokens > a.prefill_tokens + a.generated_tokens ? b : a;

const isSame = (a: JobProgress, b: JobProgress | null): boolean =>
  b !== null &&
  a.prefill_tokens === b.prefill_tokens &&
  a.generated_tokens === b.generated_tokens &&
  a.questions_done === b.questions_done;
