import { describe, expect, it } from "vitest";
import { parseEvalOptions } from "../../../native/bench/eval-options.ts";

const NOW_MS = 1_700_000_000_000;

describe("options of the evaluation", () => {
  it("takes both caches, niah and fact at 4096 and 8192 tokens and a seed from the clock by default", () => {
    expect(parseEvalOptions([], NOW_MS)).toMatchObject({
      tasks: ["niah", "fact"],
      lengths: [4096, 8192],
      documents: 40,
      seed: NOW_MS,
      device: "cpu",
      dtype: "auto",
      json: false,
      caches: [
        { name: "full", options: { kind: "full" }, sparseBudget: null },
        { name: "shadowkv", options: { kind: "shadowkv" } },
      ],
    });
  });

  it("hands the knobs that are given to shadowkv alone and reports its budget", () => {
    const { caches } = parseEvalOptions(["--rank", "64", "--sparse-budget", "512", "--outlier-chunks", "0"], NOW_MS);
    expect(caches).toEqual([
      { name: "full", options: { kind: "full" }, sparseBudget: null },
      {
        name: "shadowkv",
        options: { kind: "shadowkv", rank: 64, sparseBudget: 512, outlierChunks: 0 },
        sparseBudget: 512,
      },
    ]);
  });

  it("takes the dtype that the engine is to compute in", () => {
    expect(parseEvalOptions(["--device", "cuda", "--dtype", "float32"], NOW_MS)).toMatchObject({
      device: "cuda",
      dtype: "float32",
    });
  });

  it.each([
    [["--dtype", "fp16"], '--dtype is "fp16"'],
    [["--documents", "0"], "--documents is 0; give a whole number of at least 1"],
    [["--documents", "-3"], "--documents"],
    [["--documents", "1e3"], '--documents is "1e3"'],
    [["--lengths", "4096,511"], "--lengths is 511; give a whole number of at least 512"],
    [["--kinds", "niah,riddle"], '--kinds is "riddle"'],
    [["--caches", "none"], '--caches is "none"'],
    [["--rank", "many"], '--rank is "many"'],
    [["--budget", "512"], "Unknown option '--budget'"],
  ])("refuses %j, saying why", (args, reason) => {
    expect(() => parseEvalOptions(args, NOW_MS)).toThrow(reason);
  });
});
