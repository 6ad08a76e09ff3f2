import { describe, expect, it } from "vitest";
import { estimateGpuSeconds } from "../../../api/contract/backlog.ts";

const options = { speed: 1, maxSequenceTokens: 131_072 };
const estimate = (promptTokens: number, completionTokens: number, changed = {}) =>
  estimateGpuSeconds({ promptTokens, completionTokens }, { ...options, ...changed });

describe("GPU-seconds of a job", () => {
  it("are those that were measured, for the shape that was measured", () => {
    expect(estimate(124_928, 0)).toBeCloseTo(11.22, 5);
    expect(estimate(0, 640)).toBeCloseTo(1, 5);
  });

  it("grow faster than the prompt, since attention looks at pairs", () => {
    expect(estimate(100_000, 0) / estimate(50_000, 0)).toBeGreaterThan(2.5);
  });

  it("count a job of more tokens than a sequence may have as several sequences", () => {
    expect(estimate(10 * 131_072, 0)).toBeCloseTo(10 * estimate(131_072, 0), 5);
  });

  it("are fewer on a faster GPU, and none for no work", () => {
    expect(estimate(60_000, 512, { speed: 2 })).toBeCloseTo(estimate(60_000, 512) / 2, 8);
    expect(estimate(0, 0)).toBe(0);
  });
});
