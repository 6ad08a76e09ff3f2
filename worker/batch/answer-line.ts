import type { BatchState } from "../../api/contract/batch.ts";
import { chatCompletion } from "../../api/contract/chat-answer.ts";
import { AppError, ERRORS } from "../../api/contract/errors.ts";
import type { JobProgress, JobState } from "../../api/contract/job.ts";
import type { JobResult } from "../../api/contract/job-result.ts";
import { limits } from "../../api/contract/limits.ts";
import { resultId } from "../../api/state/batches/batch-results.ts";
import { isEngineDead, toAppError } from "../failure.ts";
import type { ProgressSum } from "../job/job-progress.ts";
import { type RunDeps, startJob } from "../job/run-job.ts";
import type { ResultWriter } from "./result-writer.ts";
import type { ShardLine, Task } from "./shard-lines.ts";

type Answer = JobResult["answers"][number];
type Deps = RunDeps & { now: () => number; log: { debug(fields: object, message: string): void } };

type Shard = {
  state: Pick<JobState, "tenant" | "attempt" | "engine">;
  batch: BatchState;
  out: ResultWriter;
  progress: ProgressSum;
  /** Told whenever `progress` has changed. */
  onProgress: () => void;
  signal: AbortSignal;
};

export type LineAnswers = ReturnType<typeof createLineAnswers>;

/** Gives the lines of a shard their results. */
export function createLineAnswers({ state, batch, out, progress, onProgress, signal }: Shard, deps: Deps) {
  const { tenant, attempt, engine } = state;

  function fail({ index, number, customId }: ShardLine, code: string, message: string): void {
    out.add({ id: resultId(batch.id, number), custom_id: customId, response: null, error: { code, message } });
    progress.finish(index, 0);
    onProgress();
  }

  async function run({ index, number, request }: Task): Promise<Answer> {
    const id = resultId(batch.id, number);
    const onUpdate = (update: JobProgress): void => {
      const { prompt_tokens: promptTokens, prefill_tokens: prefillTokens, generated_tokens: generatedTokens } = update;
      const phase = generatedTokens > 0 ? "decode" : "prefill";
      progress.update(index, { phase, prefillTokens, promptTokens, generatedTokens });
      onProgress();
    };
    const control = { signal, onProgress: onUpdate, onSequences: () => {} };
    const [answer] = (await startJob({ id, tenant, attempt, request, documents: [] }, deps, control).result).answers;
    if (answer === undefined) throw new AppError("internal", "a sequence without an answer");
    return answer;
  }

  function succeed({ index, number, customId }: Task, answer: Answer): void {
    const id = resultId(batch.id, number);
    const body = chatCompletion({ id, createdMs: deps.now(), model: batch.model, engine }, answer);
    out.add({ id, custom_id: customId, response: { status_code: 200, request_id: id, body }, error: null });
    progress.finish(index, answer.usage.completion_tokens);
    onProgress();
    deps.log.debug({ line: number, usage: answer.usage, timings: answer.timings }, "line answered");
  }

  return {
    fail,

    /** Runs a line as the job that it would be on its own, and again where the engine fails it. Throws what is not its own fault. */
    async answer(task: Task): Promise<void> {
      for (let tries = 1; ; tries++) {
        try {
          return succeed(task, await run(task));
        } catch (thrown) {
          signal.throwIfAborted();
          if (isEngineDead(thrown)) throw thrown;
          const error = toAppError(thrown);
          if (error.retryable && tries < limits.lineAttempts) continue;
          return fail(task, error.code, error.detail ?? `${ERRORS[error.code].title}.`);
        }
      }
    },
  };
}
