import type { BatchState } from "../../api/contract/batch.ts";
import { AppError } from "../../api/contract/errors.ts";
import type { JobState, Usage } from "../../api/contract/job.ts";
import type { JobResult } from "../../api/contract/job-result.ts";
import { limits } from "../../api/contract/limits.ts";
import type { BatchStore } from "../../api/state/batches/batch-store.ts";
import type { Delay } from "../delay.ts";
import { createProgressSum } from "../job/job-progress.ts";
import type { JobRun, RunControl, RunDeps } from "../job/run-job.ts";
import { createLineAnswers } from "./answer-line.ts";
import { createResultWriter, type ResultWriter } from "./result-writer.ts";
import { readShardLines, type ShardRequest, type Task } from "./shard-lines.ts";
import { answerAlone } from "./suspects.ts";

export type ShardDeps = RunDeps & {
  batches: BatchStore;
  now: () => number;
  delay: Delay;
  log: { debug(fields: object, message: string): void };
};

/**
 * Runs the lines of a shard that have no result yet, each as the job that it would be on its own. A line that fails costs
 * itself only. After its worker died the lines that may have been the cause run one by one.
 */
export function startShard(state: JobState, request: ShardRequest, deps: ShardDeps, control: RunControl): JobRun {
  const { batches, delay } = deps;
  const { batch: batchId, shard } = request.input;
  let writer: ResultWriter | null = null;

  async function run(): Promise<JobResult> {
    const batch = await batches.get(state.tenant, batchId);
    if (batch === null) throw gone(batchId);
    const results = await batches.openResults(batch, shard);
    const out = createResultWriter(results, { flushMs: limits.shardFlushMs, delay });
    writer = out;
    // One that is being cancelled has no more use for answers.
    if (batch.status === "in_progress") await runLines(batch, out);
    await out.end();
    return summary();
  }

  async function runLines(batch: BatchState, out: ResultWriter): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([control.signal, failed.signal, out.failed]);
    const progress = createProgressSum(request.prompt_tokens);
    const onProgress = () => control.onProgress(progress.current());
    const lines = createLineAnswers({ state, batch, out, progress, onProgress, signal }, deps);

    const tasks: Task[] = [];
    for await (const line of readShardLines(batch, request, deps)) {
      const had = out.of(line.number);
      if (had !== null) progress.finish(line.index, had.completionTokens);
      else if ("error" in line) lines.fail(line, line.error.code, line.error.message);
      else tasks.push(line);
    }
    onProgress();

    let left = tasks.length;
    const tellSequences = () => control.onSequences(Math.min(left, limits.shardSequences));
    const take = async (task: Task, how: (task: Task) => Promise<void>): Promise<void> => {
      await how(task);
      left -= 1;
      tellSequences();
    };
    tellSequences();
    // Those that were with the engine when it died are among the first.
    const suspects = state.attempt > 1 ? tasks.splice(0, limits.shardSequences) : [];
    const alone = { batch, shard, batches, lines, out, signal: control.signal };
    for (const task of suspects) await take(task, (suspect) => answerAlone(suspect, alone));

    const lane = async (): Promise<void> => {
      for (let next = tasks.shift(); next !== undefined; next = tasks.shift()) await take(next, lines.answer);
    };
    const lanes = Array.from({ length: Math.min(tasks.length, limits.shardSequences) }, lane);
    for (const running of lanes) running.catch((error) => failed.abort(error));
    await Promise.allSettled(lanes);
    signal.throwIfAborted();
    await Promise.all(lanes);
  }

  /** Of a shard only the sum is kept with its job: the answers are in the results of the batch. */
  const summary = (): JobResult => ({
    object: "job.result",
    id: state.id,
    model: request.model,
    attempt: state.attempt,
    answers: [],
    usage: usageOf(writer),
  });

  return {
    result: run(),
    async partial() {
      await writer?.flush();
      return writer === null ? null : summary();
    },
    texts: async () => [],
  };
}

function usageOf(writer: ResultWriter | null): Usage {
  const { promptTokens = 0, cachedTokens = 0, completionTokens = 0 } = writer?.counts() ?? {};
  return {
    prompt_tokens: promptTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

const gone = (batch: string): AppError =>
  new AppError("batch_not_found", `batch ${batch} is gone`, { detail: `Batch ${batch} was removed before it ran.` });
