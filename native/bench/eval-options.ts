import { parseArgs } from "node:util";
import { createCheck } from "../check.ts";
import type { EngineOptions } from "../index.ts";
import { DEFAULT_CACHE } from "../options.ts";
import { TASKS, type Task } from "./documents.ts";

/** Cell by cell: every task at every length, with every cache. */
export type EvalOptions = {
  tasks: readonly Task[];
  /** Nominal prompt tokens. */
  lengths: readonly number[];
  documents: number;
  seed: number;
  caches: readonly NamedCache[];
  device: "cpu" | "cuda";
  dtype: NonNullable<EngineOptions["dtype"]>;
  /** File for every answer, so that two runs can be compared. */
  answersFile: string | null;
  json: boolean;
};

export type NamedCache = {
  name: "full" | "shadowkv";
  options: NonNullable<EngineOptions["cache"]>;
  /** Tokens; null where every token is attended. */
  sparseBudget: number | null;
};

export const USAGE = `usage: npm run eval -- [options]
  --documents N       fresh documents a cell (40)
  --kinds A,B         of ${TASKS.join(",")} (niah,fact)
  --lengths A,B       prompt tokens (4096,8192)
  --caches A,B        of full,shadowkv (both)
  --device D          cpu or cuda (cpu)
  --dtype T           auto, bfloat16 or float32 (auto: bfloat16 on cuda, float32 on cpu)
  --answers FILE      writes every answer, to compare two runs of one seed
  --seed N            for the same documents again (the clock)
  --rank N  --chunk-size N  --sparse-budget N  --outlier-chunks N  --local-window N
                      knobs of shadowkv (the engine's defaults)
  --json              one JSON object as the last line`;

const MIN_PROMPT_TOKENS = 512;
const KNOBS = {
  rank: "rank",
  "chunk-size": "chunkSize",
  "sparse-budget": "sparseBudget",
  "outlier-chunks": "outlierChunks",
  "local-window": "localWindow",
} as const;

const text = { type: "string" } as const;
const check = createCheck("invalid_options");

/** Throws EngineError invalid_options, or parseArgs' TypeError for an option that is not known. */
export function parseEvalOptions(args: string[], nowMs: number): EvalOptions {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: "boolean", default: false },
      documents: { ...text, default: "40" },
      kinds: { ...text, default: "niah,fact" },
      lengths: { ...text, default: "4096,8192" },
      caches: { ...text, default: "full,shadowkv" },
      device: { ...text, default: "cpu" },
      dtype: { ...text, default: "auto" },
      answers: text,
      seed: { ...text, default: String(nowMs) },
      rank: text,
      "chunk-size": text,
      "sparse-budget": text,
      "outlier-chunks": text,
      "local-window": text,
    },
  });
  const knobs = Object.entries(KNOBS).flatMap(([flag, knob]) => {
    const given = values[flag as keyof typeof KNOBS];
    return given === undefined ? [] : [[knob, wholeNumber(`--${flag}`, given, 0)]];
  });
  return {
    json: values.json,
    device: check.oneOf("--device", values.device, ["cpu", "cuda"]),
    dtype: check.oneOf("--dtype", values.dtype, ["auto", "bfloat16", "float32"]),
    answersFile: values.answers ?? null,
    documents: wholeNumber("--documents", values.documents, 1),
    seed: wholeNumber("--seed", values.seed, 0),
    tasks: values.kinds.split(",").map((kind) => check.oneOf("--kinds", kind, TASKS)),
    lengths: values.lengths.split(",").map((length) => wholeNumber("--lengths", length, MIN_PROMPT_TOKENS)),
    caches: values.caches
      .split(",")
      .map((name) => namedCache(check.oneOf("--caches", name, ["full", "shadowkv"]), Object.fromEntries(knobs))),
  };
}

function namedCache(name: NamedCache["name"], knobs: { sparseBudget?: number }): NamedCache {
  if (name === "full") return { name, options: { kind: name }, sparseBudget: null };
  return { name, options: { kind: name, ...knobs }, sparseBudget: knobs.sparseBudget ?? DEFAULT_CACHE.sparseBudget };
}

function wholeNumber(name: string, given: string, min: number): number {
  return check.wholeNumber(name, /^\d+$/.test(given) ? Number(given) : given, min);
}
