import { describe, expect, it, vi } from "vitest";
import { limits } from "../../api/contract/limits.ts";
import { WorkerReport } from "../../api/contract/worker-report.ts";
import type { EngineStats } from "../../native/index.ts";
import { delay } from "../../worker/delay.ts";
import { engineInfo } from "../../worker/engine-info.ts";
import { createReport } from "../../worker/report.ts";
import { startReporting } from "../../worker/reporting.ts";
import { eventually } from "../support/eventually.ts";
import { createFakeEngine } from "../support/fake-engine.ts";

const { engine } = createFakeEngine();
const about = { engineInfo: engineInfo(engine, "abc"), owner: "w", model: "words", maxBatch: 4, maxPositions: 5_000 };

/** 10 bytes a token, 7 to begin with, and one for each token of the prompt to prefill in. */
const plan = ({ promptTokens, maxNewTokens }: { promptTokens: number; maxNewTokens: number }) => ({
  ...engine.plan({ promptTokens, maxNewTokens }),
  cache: { device: 7 + 10 * (promptTokens + maxNewTokens), host: 3 * promptTokens },
  workspaceBytes: promptTokens,
});
const statsOf = (changes: Partial<EngineStats>) => () => ({ ...engine.stats(), ...changes });

describe("a report", () => {
  it("says what sequences take, up to the longest that the model takes", () => {
    const report = createReport({ ...about, engine: { plan, stats: engine.stats } })(5, false);
    expect(WorkerReport.parse(report)).toEqual(report);
    expect(report.sequence_bytes.map(({ prompt_tokens }) => prompt_tokens)).toEqual([
      1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4999,
    ]);
    expect(report.sequence_bytes.at(-1)?.bytes).toEqual({ device: 7 + 10 * 5_000 + 4_999, host: 3 * 4_999 });
    expect(report.new_token_bytes).toEqual({ device: 10, host: 0 });
  });

  it("has the rates of all sequences together, and none before there are any", () => {
    const stats = statsOf({ prefilledTokens: 900, prefillSeconds: 3, decodedTokens: 0, decodeSeconds: 0 });
    expect(createReport({ ...about, engine: { plan, stats } })(5, false)).toMatchObject({
      prefill_tokens_per_second: 300,
      decode_tokens_per_second: null,
    });
  });

  it("names the cache with every knob, so that a result can be repeated", () => {
    expect(about.engineInfo).toMatchObject({
      model_revision: "abc",
      device: "cpu",
      dtype: "float32",
      cache: { kind: "shadowkv", rank: 96, chunk_size: 8, sparse_budget: 960, values: "auto" },
    });
  });
});

describe("a worker", () => {
  const start = (stats: () => EngineStats) => {
    const put = vi.fn(async (_id: string, _report: WorkerReport) => "etag");
    let nowMs = 0;
    const pauses: number[] = [];
    const reporting = startReporting({
      ...about,
      engine: { plan, stats },
      reports: { put },
      newId: () => "id",
      now: () => nowMs,
      // Time passes as it is waited for.
      delay: async (ms, signal) => {
        nowMs += ms;
        pauses.push(ms);
        await delay(1, signal);
      },
      log: { error: vi.fn() },
    });
    return { put, pauses, reporting };
  };

  it("reports at once, as soon as it has measured anything, and then every so often", async () => {
    const counts = { prefilledTokens: 0, prefillSeconds: 0, decodedTokens: 0, decodeSeconds: 0 };
    const { put, reporting } = start(() => ({ ...engine.stats(), ...counts }));
    await eventually(() => expect(put).toHaveBeenCalledTimes(1));
    expect(put.mock.lastCall?.[1].prefill_tokens_per_second).toBeNull();
    Object.assign(counts, { prefilledTokens: 10, prefillSeconds: 1, decodedTokens: 5, decodeSeconds: 1 });
    await eventually(() => expect(put.mock.calls.length).toBeGreaterThan(3));
    const measured = put.mock.calls.map(([, report]) => report).filter((r) => r.decode_tokens_per_second === 5);
    expect((measured[1]?.updated_ms ?? 0) - (measured[0]?.updated_ms ?? 0)).toBe(limits.workerReportMs);
    await reporting.stop();
  });

  it("says last that it is gone", async () => {
    const { put, reporting } = start(engine.stats);
    await reporting.stop();
    expect(put.mock.lastCall).toMatchObject(["id", { stopping: true }]);
  });

  it("goes on where a report cannot be written", async () => {
    const { put, reporting } = start(engine.stats);
    put.mockRejectedValueOnce(new Error("503"));
    await eventually(() => expect(put.mock.calls.length).toBeGreaterThan(1));
    await reporting.stop();
  });
});
