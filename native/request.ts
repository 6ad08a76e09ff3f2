import type { ModelInfo, NativeRequest } from "./binding.ts";
import { type Check, createCheck } from "./check.ts";
import { EngineError } from "./engine-error.ts";

export type GenerateOptions = {
  tokens: Uint32Array;
  maxNewTokens: number;
  sampling?: SamplingOptions;
  /** Besides the model's own end-of-sequence ids. */
  stopTokenIds?: readonly number[];
  ignoreEos?: boolean;
  /** Log-probabilities of each token, and of so many of the likeliest at its place, up to 20. */
  topLogprobs?: number;
  /** Only prompts with the same one share the prefill of a common beginning. Default: "". */
  reuseScope?: string;
};

/** Default: greedy (temperature 0). topP 1, topK 0, minP 0, repetitionPenalty 1, other penalties 0 are off; seed is 0. */
export type SamplingOptions = {
  temperature?: number;
  topP?: number;
  topK?: number;
  /** Least probability of a token, as a share of the likeliest one's. */
  minP?: number;
  seed?: number | bigint;
  /** Divides the logits of tokens that prompt or answer have had. */
  repetitionPenalty?: number;
  /** Taken from the logits of tokens that the answer has had: once, and for every time. */
  presencePenalty?: number;
  frequencyPenalty?: number;
};

const MAX_TOP_LOGPROBS = 20;
const KEYS = [
  "tokens",
  "maxNewTokens",
  "sampling",
  "stopTokenIds",
  "ignoreEos",
  "topLogprobs",
  "reuseScope",
] as const satisfies readonly (keyof GenerateOptions)[];
const SAMPLING = [
  "temperature",
  "topP",
  "topK",
  "minP",
  "seed",
  "repetitionPenalty",
  "presencePenalty",
  "frequencyPenalty",
] as const satisfies readonly (keyof SamplingOptions)[];

const check: Check = createCheck("invalid_request");

/** The request with every default filled in. Throws invalid_request or context_overflow. */
export function fillRequest(request: GenerateOptions, model: ModelInfo): Omit<NativeRequest, "wantTokens"> {
  check.keys("request", request, KEYS);
  const { tokens, sampling = {}, stopTokenIds = [], ignoreEos = false } = request;
  checkTokens(tokens, model.vocabSize);
  const maxNewTokens = check.wholeNumber("maxNewTokens", request.maxNewTokens, 1);
  checkPositions(tokens.length, maxNewTokens, model);
  if (!Array.isArray(stopTokenIds)) check.refuse("stopTokenIds is not a list; give an array of token ids");
  check.keys("sampling", sampling, SAMPLING);
  return {
    tokens,
    maxNewTokens,
    temperature: check.number("sampling.temperature", sampling.temperature ?? 0, 0),
    topP: check.number("sampling.topP", sampling.topP ?? 1, 0, 1),
    topK: check.wholeNumber("sampling.topK", sampling.topK ?? 0, 0),
    minP: check.number("sampling.minP", sampling.minP ?? 0, 0, 1),
    repetitionPenalty: check.number("sampling.repetitionPenalty", sampling.repetitionPenalty ?? 1, 0.01, 100),
    presencePenalty: check.number("sampling.presencePenalty", sampling.presencePenalty ?? 0, -2, 2),
    frequencyPenalty: check.number("sampling.frequencyPenalty", sampling.frequencyPenalty ?? 0, -2, 2),
    topLogprobs:
      request.topLogprobs === undefined
        ? -1
        : check.wholeNumber("topLogprobs", request.topLogprobs, 0, MAX_TOP_LOGPROBS),
    seed: parseSeed(sampling.seed ?? 0),
    stopTokenIds: Uint32Array.from(stopTokenIds, (id) =>
      check.wholeNumber("an id of stopTokenIds", id, 0, model.vocabSize - 1),
    ),
    ignoreEos: check.boolean("ignoreEos", ignoreEos),
    reuseScope: check.text("reuseScope", request.reuseScope ?? ""),
  };
}

/** Throws context_overflow if the model has no positions for so many tokens. */
export function checkPositions(promptTokens: number, maxNewTokens: number, model: ModelInfo): void {
  const positions = model.maxPositionEmbeddings;
  const excess = promptTokens + maxNewTokens - positions;
  if (excess <= 0) return;
  throw new EngineError(
    "context_overflow",
    `a prompt of ${promptTokens} tokens and ${maxNewTokens} new ones need ${promptTokens + maxNewTokens} positions; ` +
      `the model has ${positions}: shorten the prompt or lower maxNewTokens by ${excess}`,
  );
}

function checkTokens(tokens: unknown, vocabSize: number): asserts tokens is Uint32Array {
  if (!(tokens instanceof Uint32Array)) check.refuse("tokens is not a Uint32Array; give the prompt's token ids in one");
  if (tokens.length === 0) check.refuse("tokens is empty; a prompt has at least one token");
  const outside = tokens.findIndex((id) => id >= vocabSize);
  if (outside >= 0) {
    check.refuse(`tokens[${outside}] is ${tokens[outside]}; the model's token ids are below ${vocabSize}`);
  }
}

function parseSeed(seed: unknown): bigint {
  if (typeof seed !== "bigint") return BigInt(check.wholeNumber("sampling.seed", seed, 0));
  if (seed !== BigInt.asUintN(64, seed))
    check.refuse(`sampling.seed is ${seed}; give one of at most 64 bits, not negative`);
  return seed;
}
