import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { NativeError } from "./engine-error.ts";

/** The addon as C++ exports it. Every argument is complete and valid: index.ts sees to that. */
export type NativeEngine = {
  /** Of ShadowKV, as given or chosen. */
  readonly rank: number;
  generate(request: NativeRequest, events: NativeEvents): bigint;
  cancel(id: bigint): void;
  /** Ends a request that is generating as a stop token would. */
  finish(id: bigint): void;
  plan(promptTokens: number, maxNewTokens: number): Plan;
  stats(): EngineStats;
  model(): ModelInfo;
  /** Once. Everything throws `closed` afterwards. Resolves when its memory is free. */
  close(): Promise<void>;
};
export type NativeRequest = {
  tokens: Uint32Array;
  maxNewTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  minP: number;
  repetitionPenalty: number;
  presencePenalty: number;
  frequencyPenalty: number;
  /** -1: no logprobs. */
  topLogprobs: number;
  seed: bigint;
  stopTokenIds: Uint32Array;
  ignoreEos: boolean;
  reuseScope: string;
  wantTokens: boolean;
};
/** Called in order; `done` or `error` comes last. */
export type NativeEvents = {
  progress(progress: Progress): void;
  tokens(tokens: Uint32Array): void;
  done(result: GenerateResult): void;
  error(error: NativeError): void;
};
export type NativeOptions = {
  modelDir: string;
  device: "cpu" | "cuda";
  dtype: "bfloat16" | "float32";
  cache: CacheOptions;
  /** Take the rank that suits the model's key width (default_rank in cache_geometry.h), not cache.rank. */
  chooseRank: boolean;
  /** 0 for this and the next two: what there is. */
  threads: number;
  deviceBytes: number;
  hostBytes: number;
  maxBatch: number;
};

export type CacheOptions = {
  kind: "full" | "shadowkv";
  rank: number;
  chunkSize: number;
  sparseBudget: number;
  outlierChunks: number;
  localWindow: number;
  slots: number;
  /** Where a GPU keeps the values of ShadowKV; "auto": in device memory first, then on the host. */
  values: "auto" | "device" | "host";
};
export type CacheBytes = { device: number; host: number };
export type Progress = {
  phase: "prefill" | "decode";
  prefillTokens: number;
  promptTokens: number;
  generatedTokens: number;
};
export type GenerateResult = {
  tokens: Uint32Array;
  finishReason: "stop" | "length";
  promptTokens: number;
  /** Of the prompt, computed once for this request and others that began with the same. */
  cachedTokens: number;
  queueMs: number;
  prefillMs: number;
  decodeMs: number;
  cache: CacheBytes;
  cacheFull: CacheBytes;
  hitRate: number;
  /** One entry a token; absent unless asked for. */
  logprobs?: TokenLogprobs[];
};
/** Out of the model's own distribution: no temperature, no penalty. `top` is in descending order. */
export type TokenLogprobs = { logprob: number; top: { token: number; logprob: number }[] };
export type Plan = {
  cache: CacheBytes;
  cacheFull: CacheBytes;
  workspaceBytes: number;
  fits: boolean;
  fitsNow: boolean;
  reason: string;
};
export type EngineStats = {
  waiting: number;
  prefilling: number;
  decoding: number;
  used: CacheBytes;
  capacity: CacheBytes;
  /** Prompt tokens computed, and those that needed no computing because another prompt began with them. */
  prefilledTokens: number;
  cachedTokens: number;
  decodedTokens: number;
  prefillSeconds: number;
  decodeSeconds: number;
  hitRate: number;
};
export type ModelInfo = {
  vocabSize: number;
  hiddenSize: number;
  numLayers: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  maxPositionEmbeddings: number;
  eosTokenIds: number[];
  weightBytes: number;
};

/** Of the model's files. */
export type LoadProgress = { loadedBytes: number; totalBytes: number };

export type Fit = { promptTokens: number; limit: string; cache: CacheBytes };
export type Inspection = {
  model: ModelInfo;
  architecture: string;
  ropeTheta: number;
  ropeScaling: string;
  rotaryDim: number;
  qkvBias: boolean;
  qkNorm: boolean;
  tiedEmbeddings: boolean;
  loadedBytes: number;
  scratchBytes: number;
  capacity: CacheBytes;
  shadowkv: Fit;
  full: Fit;
};

type Addon = {
  architectures(): string[];
  /** Settles on the JavaScript thread, like load. */
  inspect(options: NativeOptions, maxNewTokens: number): Promise<Inspection>;
  /** Loads on a thread of its own; settles the promise on the JavaScript thread. */
  load(options: NativeOptions, onProgress: (progress: LoadProgress) => void): Promise<NativeEngine>;
};

const BUILT = new URL("../.build/native/gnomon.node", import.meta.url);

/** Loads the addon that the set-up built, or says how to build it. */
export function loadAddon(): Addon {
  const path = fileURLToPath(BUILT);
  if (!existsSync(path)) {
    throw new Error(
      `the native engine is not built (${path} is missing): run \`npm run quickstart\` or \`npm test\` once`,
    );
  }
  return createRequire(import.meta.url)(path) as Addon;
}
