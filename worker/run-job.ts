import { AppError } from "../api/contract/errors.ts";
import type { JobProgress, Usage } from "../api/contract/job.ts";
import type { JobRequest } from "../api/contract/job-request.ts";
import type { JobResult } from "../api/contract/job-result.ts";
import { type Prompt, promptsOf } from "../api/contract/prompts.ts";
import type { Engine, GenerateResult } from "../native/index.ts";
import { createProgressSum } from "./job-progress.ts";

/** As much of the model's prompt format as a job needs. */
export type Prompts = {
  encode(prompt: Prompt): Promise<Uint32Array>;
  decode(tokens: Uint32Array): Promise<string>;
};

export type RunControl = {
  /** Aborting it ends every sequence within one engine step; the run rejects with the signal's reason. */
  signal: AbortSignal;
  onProgress: (progress: JobProgress) => void;
  /** How many sequences of the job the engine still holds, whenever that changes. */
  onSequences: (count: number) => void;
};

type Job = {
  id: string;
  attempt: number;
  request: JobRequest;
  /** The texts of the request's document_ids, in that order. */
  documents: readonly string[];
};

/** Runs every question as a sequence of its own in the engine's one batch, and gathers the answers. */
export async function runJob(
  job: Job,
  { engine, prompts }: { engine: Engine; prompts: Prompts },
  control: RunControl,
): Promise<JobResult> {
  const { request } = job;
  const encoded: Uint32Array[] = [];
  for (const prompt of promptsOf(request.input, job.documents)) {
    encoded.push(await prompts.encode(prompt));
    control.signal.throwIfAborted();
  }
  checkFits(engine, encoded, request.max_tokens);

  const progress = createProgressSum(encoded.map((tokens) => tokens.length));
  // One failed question fails the job: the others are stopped instead of running for nothing.
  const failed = new AbortController();
  const signal = AbortSignal.any([control.signal, failed.signal]);
  let open = encoded.length;
  control.onSequences(open);

  const run = async (tokens: Uint32Array, question: number): Promise<GenerateResult> => {
    try {
      const result = await engine.generate(
        {
          tokens,
          maxNewTokens: request.max_tokens,
          sampling: sampling(request, question),
          ignoreEos: request.ignore_eos,
        },
        {
          signal,
          onProgress: (update) => {
            progress.update(question, update);
            control.onProgress(progress.current());
          },
        },
      );
      progress.finish(question, result.tokens.length);
      control.onProgress(progress.current());
      return result;
    } catch (error) {
      failed.abort(error);
      throw error;
    } finally {
      open -= 1;
      control.onSequences(open);
    }
  };
  const results = await allOrFirstFailure(encoded.map(run));
  return gather(job, results, await Promise.all(results.map(({ tokens }) => prompts.decode(tokens))));
}

function checkFits(engine: Engine, encoded: readonly Uint32Array[], maxNewTokens: number): void {
  for (const [question, tokens] of encoded.entries()) {
    const plan = engine.plan({ promptTokens: tokens.length, maxNewTokens });
    if (plan.fits) continue;
    throw new AppError("out_of_memory", `question ${question}: ${plan.reason}`, {
      detail: `Question ${question + 1} (${tokens.length} prompt tokens) can never run on this worker: ${plan.reason}`,
    });
  }
}

/** Each question draws from a seed of its own, so that equal questions may differ where the client sampled. */
const sampling = (request: JobRequest, question: number) => ({
  temperature: request.temperature,
  topP: request.top_p,
  topK: request.top_k,
  seed: request.seed + question,
});

/** Promise.all that rejects only when nothing runs any more. */
async function allOrFirstFailure<T>(runs: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(runs);
  return Promise.all(runs);
}

function gather(job: Job, results: GenerateResult[], texts: string[]): JobResult {
  const { input } = job.request;
  const answers = results.map((result, index) => ({
    question: input.kind === "questions" ? (input.questions[index] ?? null) : null,
    answer: texts[index] ?? "",
    finish_reason: result.finishReason,
    usage: usage(result.promptTokens, result.tokens.length),
    timings: { queue_ms: result.queueMs, prefill_ms: result.prefillMs, decode_ms: result.decodeMs },
    cache: {
      device_bytes: result.cache.device,
      host_bytes: result.cache.host,
      full_bytes: result.cacheFull.device + result.cacheFull.host,
      hit_rate: result.hitRate,
    },
  }));
  const total = (field: "prompt_tokens" | "completion_tokens") => answers.reduce((sum, a) => sum + a.usage[field], 0);
  return {
    object: "job.result",
    id: job.id,
    model: job.request.model,
    attempt: job.attempt,
    answers,
    usage: usage(total("prompt_tokens"), total("completion_tokens")),
  };
}

const usage = (prompt: number, completion: number): Usage => ({
  prompt_tokens: prompt,
  // Every sequence has a prefill of its own.
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens: completion,
  total_tokens: prompt + completion,
});
