import type { Prompt } from "../../api/contract/prompts.ts";
import type { Engine, GenerateControl, GenerateOptions, GenerateResult, Plan } from "../../native/index.ts";
import { DEFAULT_CACHE } from "../../native/options.ts";

const NO_BYTES = { device: 0, host: 0 };

/** A request that the fake engine holds until a test ends it. */
export type FakeSequence = {
  request: GenerateOptions;
  /** Of the prompt, shared with others; tells the result. */
  cachedTokens: number;
  progress(prefillTokens: number, generatedTokens?: number): void;
  tokens(...tokens: number[]): void;
  finish(...tokens: number[]): void;
  fail(error: Error): void;
  ended: boolean;
};

/** An engine whose sequences move only when a test moves them. For tests of the worker's own rules. */
export function createFakeEngine(plan: Partial<Plan> = {}) {
  const sequences: FakeSequence[] = [];
  let waiting = 0;

  const engine: Engine = {
    plan: () => ({
      cache: NO_BYTES,
      cacheFull: NO_BYTES,
      workspaceBytes: 0,
      fits: true,
      fitsNow: true,
      reason: "",
      ...plan,
    }),
    generate: (request, control = {}) => run(request, control),
    stats: () => ({
      waiting,
      prefilling: 0,
      decoding: sequences.filter(({ ended }) => !ended).length,
      used: NO_BYTES,
      capacity: NO_BYTES,
      prefilledTokens: 0,
      cachedTokens: 0,
      decodedTokens: 0,
      prefillSeconds: 0,
      decodeSeconds: 0,
      hitRate: 0,
    }),
    model: {
      vocabSize: 0,
      hiddenSize: 0,
      numLayers: 0,
      numHeads: 0,
      numKvHeads: 0,
      headDim: 0,
      maxPositionEmbeddings: 1000,
      eosTokenIds: [],
      weightBytes: 0,
    },
    device: "cpu",
    dtype: "float32",
    cache: DEFAULT_CACHE,
    close: async () => {},
  };

  function run(request: GenerateOptions, control: GenerateControl): Promise<GenerateResult> {
    const { signal, finish, onProgress, onTokens } = control;
    const made: number[] = [];
    return new Promise((resolve, reject) => {
      const promptTokens = request.tokens.length;
      const { topLogprobs } = request;
      const logprobOf = (token: number) => ({
        logprob: -token,
        top: Array.from({ length: topLogprobs ?? 0 }, (_, index) => ({
          token: token + index,
          logprob: -token - index,
        })),
      });
      const end = (settle: () => void) => {
        if (sequence.ended) return;
        sequence.ended = true;
        settle();
      };
      const sequence: FakeSequence = {
        request,
        cachedTokens: 0,
        ended: false,
        progress: (prefillTokens, generatedTokens = 0) =>
          onProgress?.({ phase: generatedTokens ? "decode" : "prefill", prefillTokens, promptTokens, generatedTokens }),
        tokens(...tokens) {
          made.push(...tokens);
          onTokens?.(Uint32Array.from(tokens));
        },
        finish: (...tokens) =>
          end(() =>
            resolve({
              tokens: Uint32Array.from(tokens),
              finishReason: "stop",
              promptTokens,
              cachedTokens: sequence.cachedTokens,
              queueMs: 1,
              prefillMs: 2,
              decodeMs: 3,
              cache: { device: 10, host: 20 },
              cacheFull: { device: 100, host: 0 },
              hitRate: 0.5,
              ...(topLogprobs !== undefined && { logprobs: tokens.map(logprobOf) }),
            }),
          ),
        fail: (error) => end(() => reject(error)),
      };
      sequences.push(sequence);
      if (signal?.aborted) sequence.fail(signal.reason);
      signal?.addEventListener("abort", () => sequence.fail(signal.reason));
      finish?.addEventListener("abort", () => sequence.finish(...made));
    });
  }

  return {
    engine,
    sequences,
    setWaiting: (count: number): void => {
      waiting = count;
    },
  };
}

/** The words of a prompt, whatever its kind. */
export function wordsOf(prompt: Prompt): string[] {
  const text =
    "text" in prompt
      ? prompt.text
      : "messages" in prompt
        ? prompt.messages.map(({ content }) => content).join(" ")
        : `${prompt.document} ${prompt.question}`;
  return text.split(/\s+/);
}

/** One token for each word; decoding names the tokens. */
export const WORD_PROMPTS = {
  encode: async (prompt: Prompt) => Uint32Array.from(wordsOf(prompt).keys()),
  count: async (prompt: Prompt) => wordsOf(prompt).length,
  maxPositions: 100,
  decode: async (tokens: Uint32Array) => `tokens ${tokens.join(" ")}`,
  tokenTexts: async (ids: readonly number[]) => ids.map((id) => ({ token: `${id}`, bytes: [...Buffer.from(`${id}`)] })),
};
