import type { BatchState } from "../../api/contract/batch.ts";
import { chatCompletion } from "../../api/contract/chat-answer.ts";
import { AppError, ERRORS } from "../../api/contract/errors.ts";
import type { JobState, Usage } from "../../api/contract/job.ts";
import type { JobRequest } from "../../api/contract/job-request.ts";
import type { JobResult } from "../../api/contract/job-result.ts";
import { limits } from "../../api/contract/limits.ts";
import { resultId } from "../../api/state/batch-results.ts";
import type { BatchStore } from "../../api/state/batch-store.ts";
import { jsonLines } from "../../api/state/json-lines.ts";
import type { Delay } from "../delay.ts";
import { isEngineDead, toAppError } from "../failure.ts";
import { createProgressSum } from "../job-progress.ts";
import { type JobRun, type RunControl, type RunDeps, startJob } from "../run-job.ts";
import { lineRequest } from "./line-request.ts";
import { type ParsedLine, parseLine } from "./parse-line.ts";
import { createResultWriter, type ResultWriter } from "./result-writer.ts";

export type ShardDeps = RunDeps & {
  batches: BatchStore;
  now: () => number;
  delay: Delay;
  log: { debug(fields: object, message: string): void };
};

export type ShardRequest = JobRequest & { input: Extract<JobRequest["input"], { kind: "shard" }> };

/** A line with what it needs to be run. `index` is its place in the shard. */
type Task = { index: number; line: ParsedLine; request: JobRequest };

/**
 * Runs the lines of a shard that have no result yet, each as the job that it would be on its own. A line that fails costs
 * itself only. After its worker died the lines that may have been the cause run one by one, and one that keeps killing
 * workers is failed.
 */
export function startShard(state: JobState, request: ShardRequest, deps: ShardDeps, control: RunControl): JobRun {
  const { batches, delay } = deps;
  const { tenant, attempt, engine } = state;
  const { batch: batchId, shard } = request.input;
  let writer: ResultWriter | null = null;

  async function run(): Promise<JobResult> {
    const batch = await batches.get(tenant, batchId);
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
    const progress = createProgressSum(request.prompt_tokens);
    const failed = new AbortController();
    const signal = AbortSignal.any([control.signal, failed.signal, out.failed]);
    const tasks: Task[] = [];
    for (const [index, line] of (await readLines(batch)).entries()) {
      const had = out.of(line.number);
      if (had !== null) progress.finish(index, had.completionTokens);
      else tasks.push({ index, line, request: lineRequest(line, request.prompt_tokens[index] ?? 0, batch.id, model) });
    }
    control.onProgress(progress.current());

    /** What became of a line. Throws what is not its own fault. */
    async function answer({ index, line, request }: Task): Promise<void> {
      for (let tries = 1; ; tries++) {
        const id = resultId(batch.id, line.number);
        const run = startJob({ id, tenant, attempt, request, documents: [] }, deps, {
          signal,
          onProgress(update) {
            const {
              prefill_tokens: prefillTokens,
              generated_tokens: generatedTokens,
              prompt_tokens: promptTokens,
            } = update;
            const phase = generatedTokens > 0 ? "decode" : "prefill";
            progress.update(index, { phase, prefillTokens, promptTokens, generatedTokens });
            control.onProgress(progress.current());
          },
          onSequences: () => {},
        });
        try {
          const [answer] = (await run.result).answers;
          if (answer === undefined) throw new AppError("internal", "a sequence without an answer");
          const body = chatCompletion({ id, createdMs: deps.now(), model: batch.model, engine }, answer);
          out.add({ id, custom_id: line.customId, response: { status_code: 200, request_id: id, body }, error: null });
          progress.finish(index, answer.usage.completion_tokens);
          deps.log.debug({ line: line.number, usage: answer.usage, timings: answer.timings }, "line answered");
          return;
        } catch (thrown) {
          signal.throwIfAborted();
          if (isEngineDead(thrown)) throw thrown;
          const error = toAppError(thrown);
          if (error.retryable && tries < limits.lineAttempts) continue;
          fail({ index, line }, error.code, error.detail ?? `${ERRORS[error.code].title}.`);
          return;
        } finally {
          control.onProgress(progress.current());
        }
      }
    }

    function fail({ index, line }: Pick<Task, "index" | "line">, code: string, message: string): void {
      const id = resultId(batch.id, line.number);
      out.add({ id, custom_id: line.customId, response: null, error: { code, message } });
      progress.finish(index, 0);
    }

    /** One line and nothing beside it, with a note that tells the next attempt if this one does not come back. */
    async function answerAlone(task: Task): Promise<void> {
      const { number } = task.line;
      const noted = await batches.readTrying(batch, shard);
      const begun = noted?.line === number ? noted.begun : 0;
      if (begun >= limits.lineDeaths) {
        fail(task, "attempts_exhausted", `Gave up on this line after ${begun} attempts that ended its worker.`);
        return out.flush();
      }
      await batches.writeTrying(batch, shard, { line: number, begun: begun + 1 });
      try {
        await answer(task);
        await out.flush();
      } catch (error) {
        // A worker that stops, or lost its lease, has not died of it.
        if (control.signal.aborted) await batches.writeTrying(batch, shard, { line: number, begun });
        throw error;
      }
    }

    let left = tasks.length;
    const take = async (task: Task, how: (task: Task) => Promise<void>): Promise<void> => {
      await how(task);
      left -= 1;
      control.onSequences(Math.min(left, limits.shardSequences));
    };
    const queue = [...tasks];
    const lane = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await take(next, answer);
    };
    control.onSequences(Math.min(left, limits.shardSequences));
    // Those that were with the engine when it died are among the first.
    for (const task of attempt > 1 ? queue.splice(0, limits.shardSequences) : []) await take(task, answerAlone);
    const lanes = Array.from({ length: Math.min(queue.length, limits.shardSequences) }, lane);
    for (const running of lanes) running.catch((error) => failed.abort(error));
    await Promise.allSettled(lanes);
    signal.throwIfAborted();
    await Promise.all(lanes);
  }

  const model = { model: request.model, maxPositions: deps.prompts.maxPositions };

  async function readLines(batch: BatchState): Promise<ParsedLine[]> {
    const { start_byte, end_byte, first_line } = request.input;
    const bytes = await batches.readInputRange(batch, start_byte, end_byte);
    const lines: ParsedLine[] = [];
    for await (const line of jsonLines([bytes], limits.requestBodyBytes, { line: first_line, byte: start_byte })) {
      const parsed = parseLine(line, batch);
      if ("code" in parsed) throw new AppError("internal", `a validated line is not valid: ${parsed.message}`);
      lines.push(parsed);
    }
    return lines;
  }

  /** Of a shard only the sum is kept with its job: the answers are in the results of the batch. */
  function summary(): JobResult {
    return { object: "job.result", id: state.id, model: request.model, attempt, answers: [], usage: usage() };
  }

  function usage(): Usage {
    const { promptTokens = 0, cachedTokens = 0, completionTokens = 0 } = writer?.counts() ?? {};
    return {
      prompt_tokens: promptTokens,
      prompt_tokens_details: { cached_tokens: cachedTokens },
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    };
  }

  return {
    result: run(),
    async partial() {
      await writer?.flush();
      return writer === null ? null : summary();
    },
    texts: async () => [],
  };
}

const gone = (batch: string): AppError =>
  new AppError("batch_not_found", `batch ${batch} is gone`, { detail: `Batch ${batch} was removed before it ran.` });
