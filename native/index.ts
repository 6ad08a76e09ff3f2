import type { CacheBytes, CacheOptions, EngineStats, GenerateResult, ModelInfo, Plan, Progress } from "./binding.ts";

export type { CacheBytes, CacheOptions, EngineStats, GenerateResult, ModelInfo, Plan, Progress };

export type EngineOptions = {
  /** A Hugging Face model directory. */
  modelDir: string;
  device?: "cpu" | "cuda";
  memory?: { deviceBytes?: number; hostBytes?: number };
  threads?: number;
  maxBatch?: number;
  cache?: { kind: "full" } | ({ kind: "shadowkv" } & Partial<Omit<CacheOptions, "kind">>);
};

export type GenerateOptions = {
  tokens: Uint32Array;
  maxNewTokens: number;
  sampling?: { temperature?: number; topP?: number; topK?: number; seed?: number | bigint };
  stopTokenIds?: readonly number[];
  ignoreEos?: boolean;
};

export type GenerateControl = {
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
  onTokens?: (tokens: Uint32Array) => void;
};

export interface Engine {
  plan(request: { promptTokens: number; maxNewTokens: number }): Plan;
  generate(request: GenerateOptions, control?: GenerateControl): Promise<GenerateResult>;
  stats(): EngineStats;
  readonly model: ModelInfo;
  close(): Promise<void>;
}
