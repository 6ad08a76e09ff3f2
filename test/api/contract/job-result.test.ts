import { expect, it } from "vitest";
import { type JobResult, timeInPrefillMs } from "../../../api/contract/job-result.ts";
import { usage } from "../../support/job-fixtures.ts";

const answer = (queueMs: number, prefillMs: number): JobResult["answers"][number] => ({
  question: null,
  answer: "",
  finish_reason: "stop",
  usage: usage(1, 1),
  timings: { queue_ms: queueMs, prefill_ms: prefillMs, decode_ms: 1 },
  cache: { device_bytes: 0, host_bytes: 0, full_bytes: 0, hit_rate: 0 },
});

it("counts the time in prefill once where prompts shared it, and leaves out what lies between", () => {
  expect(timeInPrefillMs([])).toBe(0);
  expect(timeInPrefillMs([answer(5, 10)])).toBe(10);
  expect(timeInPrefillMs([answer(0, 10), answer(10, 10)])).toBe(20);
  expect(timeInPrefillMs([answer(0, 10), answer(0, 10), answer(4, 6)])).toBe(10);
  expect(timeInPrefillMs([answer(30, 5), answer(0, 10), answer(8, 4)])).toBe(17);
});
