import { counted } from "../../api/contract/counted.ts";
import { AppError } from "../../api/contract/errors.ts";
import type { JobProgress, Usage } from "../../api/contract/job.ts";
import type { JobRequest } from "../../api/contract/job-request.ts";
import type { JobResult } from "../../api/contract/job-result.ts";
import { promptsOf } from "../../api/contract/prompts.ts";
import type { Engine, GenerateOptions, Progress } from "../../native/index.ts";
import type { Prompts } from "../../native/prompt/prompt.ts";
import { describeLogprobs } from "./describe-logprobs.ts";
import { createProgressSum } from "./job-progress.ts";
import { type Sequence, type SequenceResult, startSequence } from "./sequence.ts";

export type RunControl = {
  /** Aborting it ends every sequence within one engine step. */
  signal: AbortSignal;
  onProgress: (progress: JobProgress) => void;
  /** How many sequences of the job the engine still holds, whenever that changes. */
  onSequences: (count: number) => void;
};

export type RunDeps = { engine: Engine; prompts: Prompts };

type Job = {
  id: string;
  tenant: string;
  attempt: number;
  request: JobRequest;
  /** The texts of the request's document_ids, in that order. */
  documents: readonly string[];
};

export type JobRun = {
  /** Rejects with the reason of control.signal once nothing of the job is in the engine any more. */
  result: Promise<JobResult>;
  /** What there is of the answers by now; null before the first sequence has begun. */
  partial(): Promise<JobResult | null>;
  /** As much of each answer's text as stays, whatever comes; an answer that has not begun may be missing. */
  texts(): Promise<string[]>;
};

/** Runs every prompt of a job as a sequence of its own in the engine's one batch, and gathers the answers. */
export function startJob(job: Job, deps: RunDeps, control: RunControl): JobRun {
  const sequences: Sequence[] = [];

  async function run(): Promise<JobResult> {
    const encoded: Uint32Array[] = [];
    for (const prompt of promptsOf(job.request.input, job.documents)) {
      encoded.push(await deps.prompts.encode(prompt));
      control.signal.throwIfAborted();
    }
    checkFits(deps.engine, encoded, job.request.max_tokens);
    const progress = createProgressSum(encoded.map((tokens) => tokens.length));
    // One failed question fails the job: the others are stopped instead of running for nothing.
    const failed = new AbortController();
    const signal = AbortSignal.any([control.signal, failed.signal]);
    let open = encoded.length;
    control.onSequences(open);

    const runs = encoded.map(async (tokens, index) => {
      const onProgress = (update: Progress) => {
        progress.update(index, update);
        control.onProgress(progress.current());
      };
      const sequence = startSequence(
        { engine: deps.engine, decode: deps.prompts.decode },
        generateOptions(job, tokens, index),
        { signal, onProgress },
      );
      sequences.push(sequence);
      try {
        const result = await sequence.result;
        progress.finish(index, result.tokens.length);
        control.onProgress(progress.current());
        return result;
      } catch (error) {
        failed.abort(error);
        throw error;
      } finally {
        open -= 1;
        control.onSequences(open);
      }
    });
    return gather(job, await allOrFirstFailure(runs), deps.prompts);
  }

  return {
    result: run(),
    partial: async () =>
      sequences.length === 0
        ? null
        : gather(job, await Promise.all(sequences.map((sequence) => sequence.soFar())), deps.prompts),
    texts: () => Promise.all(sequences.map((sequence) => sequence.text())),
  };
}

/** What the engine is asked for one prompt. */
function generateOptions({ tenant, request }: Job, tokens: Uint32Array, index: number) {
  return {
    tokens,
    maxNewTokens: request.max_tokens,
    // Each question draws from a seed of its own, so that equal questions may differ where the client sampled.
    sampling: {
      temperature: request.temperature,
      topP: request.top_p,
      topK: request.top_k,
      minP: request.min_p,
      repetitionPenalty: request.repetition_penalty,
      presencePenalty: request.presence_penalty,
      frequencyPenalty: request.frequency_penalty,
      // Beyond the numbers that JavaScript counts exactly there are seeds too.
      seed: BigInt(request.seed) + BigInt(index),
    },
    stop: request.stop,
    ignoreEos: request.ignore_eos,
    // cached_tokens must not tell one tenant what another has sent.
    reuseScope: tenant,
    ...(request.logprobs ? { topLogprobs: request.top_logprobs } : {}),
  } satisfies GenerateOptions & { stop: readonly string[] };
}

function checkFits(engine: Engine, encoded: readonly Uint32Array[], maxNewTokens: number): void {
  for (const [question, tokens] of encoded.entries()) {
    const plan = engine.plan({ promptTokens: tokens.length, maxNewTokens });
    if (plan.fits) continue;
    throw new AppError("out_of_memory", `question ${question}: ${plan.reason}`, {
      detail: `Question ${question + 1} (${counted(tokens.length, "prompt token")}) can never run on this worker: ${plan.reason}`,
    });
  }
}

/** Promise.all that rejects only when nothing runs any more. */
async function allOrFirstFailure<T>(runs: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(runs);
  return Promise.all(runs);
}

async function gather(job: Job, results: SequenceResult[], prompts: Prompts): Promise<JobResult> {
  const { input } = job.request;
  const logprobs = await Promise.all(
    results.map(async (result) => result.logprobs && describeLogprobs(result, prompts.tokenTexts)),
  );
  const answers = results.map((result, index) => ({
    question: input.kind === "questions" ? (input.questions[index] ?? null) : null,
    answer: result.text,
    finish_reason: result.finishReason,
    ...(logprobs[index] && { logprobs: logprobs[index] }),
    usage: usage(result.promptTokens, result.cachedTokens, result.tokens.length),
    timings: { queue_ms: result.queueMs, prefill_ms: result.prefillMs, decode_ms: result.decodeMs },
    cache: {
      device_bytes: result.cache.device,
      host_bytes: result.cache.host,
      full_bytes: result.cacheFull.device + result.cacheFull.host,
      hit_rate: result.hitRate,
    },
  }));
  const total = (field: "promptTokens" | "cachedTokens") => results.reduce((sum, result) => sum + result[field], 0);
  const completion = results.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return {
    object: "job.result",
    id: job.id,
    model: job.request.model,
    attempt: job.attempt,
    answers,
    usage: usage(total("promptTokens"), total("cachedTokens"), completion),
  };
}

const usage = (prompt: number, cached: number, completion: number): Usage => ({
  prompt_tokens: prompt,
  prompt_tokens_details: { cached_tokens: cached },
  completion_tokens: completion,
  total_tokens: prompt + completion,
});
