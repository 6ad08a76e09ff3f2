import type { CacheOptions, NativeOptions } from "./binding.ts";
import { type Check, createCheck } from "./check.ts";

export type EngineOptions = {
  /** A Hugging Face model directory. */
  modelDir: string;
  /** Default "cpu". */
  device?: "cpu" | "cuda";
  /** Of weights, activations and caches. Default "auto": bfloat16 on a GPU, float32 on a CPU, which has no other. */
  dtype?: "auto" | "bfloat16" | "float32";
  /**
   * deviceBytes: what the engine may take of the device (on a CPU, of the machine); default: what is free. hostBytes: memory that a
   * GPU engine pins for the values of ShadowKV; default: none.
   */
  memory?: { deviceBytes?: number; hostBytes?: number };
  /** CPU threads; default: all cores that the process may run on and its CPU quota pays for. */
  threads?: number;
  /** Sequences that decode at once; default 64. */
  maxBatch?: number;
  /** Default: ShadowKV with DEFAULT_CACHE, its rank by the model's key width. */
  cache?: { kind: "full" } | ({ kind: "shadowkv" } & Partial<Omit<CacheOptions, "kind">>);
};

/**
 * Answers as full attention does with the bundled model at 4K and 8K tokens; half the budget does not. 960 tokens are less than
 * a quarter of a 4K prompt. Slots 0: twice the selected chunks. The rank is that of the bundled model; where none is
 * given, the engine chooses by the key width.
 */
export const DEFAULT_CACHE: Readonly<CacheOptions> = {
  kind: "shadowkv",
  rank: 96,
  chunkSize: 8,
  sparseBudget: 960,
  outlierChunks: 48,
  localWindow: 32,
  slots: 0,
  values: "auto",
};

const DEFAULT_MAX_BATCH = 64;
const KNOBS = ["rank", "chunkSize", "sparseBudget", "outlierChunks", "localWindow", "slots"] as const;
const MAY_BE_ZERO: readonly string[] = ["outlierChunks", "slots"];

const check: Check = createCheck("invalid_options");

/** The options with every default filled in. Throws invalid_options. */
export function fillOptions(options: EngineOptions): NativeOptions {
  check.keys("options", options, ["modelDir", "device", "dtype", "memory", "threads", "maxBatch", "cache"]);
  const { modelDir, device = "cpu", dtype = "auto", memory = {}, threads, maxBatch = DEFAULT_MAX_BATCH } = options;
  if (typeof modelDir !== "string" || modelDir === "") {
    check.refuse("modelDir is missing; give the path of a Hugging Face model directory");
  }
  check.keys("memory", memory, ["deviceBytes", "hostBytes"]);
  return {
    modelDir,
    device: check.oneOf("device", device, ["cpu", "cuda"]),
    dtype: resolveDtype(device, check.oneOf("dtype", dtype, ["auto", "bfloat16", "float32"])),
    deviceBytes: check.wholeNumber("memory.deviceBytes", memory.deviceBytes ?? 0, 0),
    hostBytes: check.wholeNumber("memory.hostBytes", memory.hostBytes ?? 0, 0),
    threads: threads === undefined ? 0 : check.wholeNumber("threads", threads, 1),
    maxBatch: check.wholeNumber("maxBatch", maxBatch, 1),
    ...fillCache(options.cache ?? { kind: "shadowkv" }),
  };
}

/** What "auto" stands for on a device. */
export function resolveDtype(
  device: NonNullable<EngineOptions["device"]>,
  given: NonNullable<EngineOptions["dtype"]>,
): NativeOptions["dtype"] {
  if (given !== "auto") return given;
  return device === "cuda" ? "bfloat16" : "float32";
}

function fillCache(given: NonNullable<EngineOptions["cache"]>): Pick<NativeOptions, "cache" | "chooseRank"> {
  check.keys("cache", given, given?.kind === "full" ? ["kind"] : ["kind", ...KNOBS, "values"]);
  const kind = check.oneOf("cache.kind", given.kind, ["full", "shadowkv"]);
  const knobs: Partial<CacheOptions> = given;
  const cache = { ...DEFAULT_CACHE, kind };
  for (const knob of KNOBS) {
    const min = MAY_BE_ZERO.includes(knob) ? 0 : 1;
    cache[knob] = check.wholeNumber(`cache.${knob}`, knobs[knob] ?? cache[knob], min);
  }
  cache.values = check.oneOf("cache.values", knobs.values ?? cache.values, ["auto", "device", "host"]);
  return { cache, chooseRank: knobs.rank === undefined };
}
