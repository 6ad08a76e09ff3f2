import { describe, expect, it } from "vitest";
import { type AnsweredLine, divide, union } from "./bulk-times.ts";
import { engineSeconds, interpolate } from "./engine-times.ts";

const line = (endMs: number, prefillMs: number, decodeMs: number): AnsweredLine => ({
  time: endMs,
  job: "job_1",
  usage: { prompt_tokens: 1, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 0 } },
  timings: { queue_ms: 0, prefill_ms: prefillMs, decode_ms: decodeMs },
});

describe("the times of a batch", () => {
  it("count overlapping sequences once", () => {
    const spans = [
      { startMs: 5, endMs: 9 },
      { startMs: 0, endMs: 6 },
      { startMs: 1, endMs: 2 },
      { startMs: 12, endMs: 13 },
    ];
    expect(union(spans)).toEqual([
      { startMs: 0, endMs: 9 },
      { startMs: 12, endMs: 13 },
    ]);
  });

  it("are divided into parts that add up", () => {
    // The engine is busy from 160 to 300 and from 320 to 400.
    const lines = [line(250, 70, 20), line(300, 60, 10), line(400, 50, 30)];
    const parts = divide(lines, { createdMs: 0, validatedMs: 100, claimedMs: [310, 140], completedMs: 430 });
    expect(parts).toEqual({
      wallMs: 430,
      validationMs: 100,
      shardsMs: 40,
      tokenisingMs: 20,
      busyMs: 220,
      idleMs: 20,
      gatheringMs: 30,
      raggedEndMs: 30,
      busyShare: 220 / 260,
    });
    const { wallMs, validationMs, shardsMs, tokenisingMs, busyMs, idleMs, gatheringMs } = parts;
    expect(validationMs + shardsMs + tokenisingMs + busyMs + idleMs + gatheringMs).toBe(wallMs);
  });
});

describe("the engine alone", () => {
  const points = [
    { x: 10, y: 1 },
    { x: 20, y: 3 },
    { x: 40, y: 4 },
  ];

  it.each([
    [10, 1],
    [15, 2],
    [30, 3.5],
    [40, 4],
    [5, 0],
    [60, 5],
  ])("is interpolated at %d tokens", (x, y) => {
    expect(interpolate(points, x)).toBe(y);
  });

  it("takes the prefill and the steps of every line", () => {
    const rows = [
      { prompt_tokens: 1000, prefill_seconds: 1, decode_step_ms: 10 },
      { prompt_tokens: 2000, prefill_seconds: 3, decode_step_ms: 20 },
    ];
    const lines = [
      { promptTokens: 1500, completionTokens: 100 },
      { promptTokens: 1000, completionTokens: 10 },
    ];
    expect(engineSeconds(rows, lines)).toBeCloseTo(2 + 1.5 + 1 + 0.1);
  });
});
