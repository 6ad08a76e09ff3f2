/** What a sequence asks of the GPU, as it was measured: see native/bench/README.md. */
type GpuRates = {
  /** Prefill: linear layers, a token; attention, a pair of tokens. */
  prefillTokenSeconds: number;
  prefillPairSeconds: number;
  /** Decode, a token, in a batch of the usual size. */
  decodeTokenSeconds: number;
};

/**
 * An 8-billion model of Llama 3.1's shape on one H200. Of the 11.22 s that prefill of 124,928 tokens took, linear layers
 * and attention have the shares of their arithmetic, 30 % and 70 %; decode made 640 tokens a second in a batch of 8.
 */
const MEASURED: GpuRates = {
  prefillTokenSeconds: (0.3 * 11.22) / 124_928,
  prefillPairSeconds: (0.7 * 11.22) / 124_928 ** 2,
  decodeTokenSeconds: 1 / 640,
};

export type Work = {
  /** Over all sequences of the job. */
  promptTokens: number;
  completionTokens: number;
};

export type GpuSecondsOptions = {
  /** Of the GPU beside the measured one. */
  speed: number;
  /** Longest sequence of the model: a job of more tokens has several sequences. */
  maxSequenceTokens: number;
};

/**
 * GPU-seconds that a job will take, from its tokens alone. An upper bound where its questions share a document or end
 * before max_tokens; a job of several short sequences counts as one long one. Good enough to count workers by.
 */
export function estimateGpuSeconds({ promptTokens, completionTokens }: Work, options: GpuSecondsOptions): number {
  const sequences = Math.max(1, Math.ceil(promptTokens / options.maxSequenceTokens));
  const prefill =
    promptTokens * MEASURED.prefillTokenSeconds + (promptTokens ** 2 / sequences) * MEASURED.prefillPairSeconds;
  return (prefill + completionTokens * MEASURED.decodeTokenSeconds) / options.speed;
}

/** Where the backlog is published; infra scales by it. */
export const BACKLOG_METRIC = { namespace: "Gnomon", metricName: "BacklogGpuSeconds" } as const;
