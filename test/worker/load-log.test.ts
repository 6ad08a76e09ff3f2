import { expect, it, vi } from "vitest";
import { createLoadLog } from "../../worker/load-log.ts";

it("says now and then how far the model is loaded, and how long it took", () => {
  const log = { info: vi.fn() };
  let nowMs = 0;
  const tell = createLoadLog({ log, now: () => nowMs, everyMs: 1_000 });
  for (const loadedBytes of [0, 10, 20, 30, 40]) {
    tell({ loadedBytes, totalBytes: 40 });
    nowMs += 600;
  }
  expect(log.info.mock.calls).toEqual([
    [{ loaded_bytes: 20, total_bytes: 40, ms: 1_200, percent: 50 }, "model loads"],
    [{ loaded_bytes: 40, total_bytes: 40, ms: 2_400 }, "model loaded"],
  ]);
});
