import type { ModelInfo, NativeRequest } from "./binding.ts";
import { type Check, createCheck } from "./check.ts";
import { EngineError } from "./engine-error.ts";

export type GenerateOptions = {
  tokens: Uint32Array;
  maxNewTokens: number;
  /** Default: greedy (temperature 0). topP 1 and topK 0 are off; seed is 0. */
  sampling?: { temperature?: number; topP?: number; topK?: number; seed?: number | bigint };
  /** Besides the model's own end-of-sequence ids. */
  stopTokenIds?: readonly number[];
  ignoreEos?: boolean;
};

const check: Check = createCheck("invalid_request");

/** The request with every default filled in. Throws invalid_request or context_overflow. */
export function fillRequest(request: GenerateOptions, model: ModelInfo): Omit<NativeRequest, "wantTokens"> {
  check.keys("request", request, ["tokens", "maxNewTokens", "sampling", "stopTokenIds", "ignoreEos"]);
  const { tokens, sampling = {}, stopTokenIds = [], ignoreEos = false } = request;
  checkTokens(tokens, model.vocabSize);
  const maxNewTokens = check.wholeNumber("maxNewTokens", request.maxNewTokens, 1);
  checkPositions(tokens.length, maxNewTokens, model);
  if (!Array.isArray(stopTokenIds)) check.refuse("stopTokenIds is not a list; give an array of token ids");
  check.keys("sampling", sampling, ["temperature", "topP", "topK", "seed"]);
  return {
    tokens,
    maxNewTokens,
    temperature: check.number("sampling.temperature", sampling.temperature ?? 0, 0),
    topP: check.number("sampling.topP", sampling.topP ?? 1, 0, 1),
    topK: check.wholeNumber("sampling.topK", sampling.topK ?? 0, 0),
    seed: parseSeed(sampling.seed ?? 0),
    stopTokenIds: Uint32Array.from(stopTokenIds, (id) =>
      check.wholeNumber("an id of stopTokenIds", id, 0, model.vocabSize - 1),
    ),
    ignoreEos: check.boolean("ignoreEos", ignoreEos),
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
