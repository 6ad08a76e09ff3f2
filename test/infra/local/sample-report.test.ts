import { expect, it } from "vitest";
import type { JobResult } from "../../../api/contract/job-result.ts";
import { formatReport, reportSample } from "../../../infra/local/sample-report.ts";
import { usage } from "../../support/job-fixtures.ts";

const answer = (text: string, tokens: number, queueMs: number): JobResult["answers"][number] => ({
  question: `${text}?`,
  answer: text,
  finish_reason: "stop",
  usage: usage(1000, tokens),
  timings: { queue_ms: queueMs, prefill_ms: 500, decode_ms: 1000 },
  cache: { device_bytes: 2 ** 20, host_bytes: 2 ** 21, full_bytes: 2 ** 22, hit_rate: 0.5 },
});
const result: JobResult = {
  object: "job.result",
  id: "job_1",
  model: "needle",
  attempt: 1,
  answers: [answer("yes", 11, 0), answer("no", 101, 500)],
  usage: usage(2000, 112),
};
const questions = [
  { question: "yes?", expected: "yes" },
  { question: "no?", expected: "no" },
];

it("adds the answers up, and takes the rate of the sequence that decoded undisturbed", () => {
  expect(reportSample(questions, result)).toEqual({
    ok: true,
    answers: [
      { question: "yes?", answer: "yes", expected: "yes" },
      { question: "no?", answer: "no", expected: "no" },
    ],
    prompt_tokens: 2000,
    cached_tokens: 0,
    prefill_tokens_per_second: 2000,
    decode_tokens_per_second: 100,
    kv_bytes_full: 2 ** 23,
    kv_bytes_shadow: 2 ** 21,
    kv_bytes_shadow_host: 2 ** 22,
  });
});

it("counts a prefill that answers shared once, with the tokens computed in it", () => {
  const shared = { ...usage(2000, 112), prompt_tokens_details: { cached_tokens: 900 } };
  const report = reportSample(questions, {
    ...result,
    answers: [answer("yes", 11, 0), answer("no", 101, 0)],
    usage: shared,
  });
  expect(report).toMatchObject({ cached_tokens: 900, prefill_tokens_per_second: 2200 });
});

it("is not ok if any answer differs, and shows what was expected", () => {
  const report = reportSample([{ question: "yes?", expected: "Yes." }, ...questions.slice(1)], result);
  expect(report.ok).toBe(false);
  const text = formatReport(report, result, "doc_1");
  expect(text).toContain("✗ yes?\n  yes\n  expected: Yes.\n✓ no?");
  expect(text).toContain('{"document": {"id": "doc_1"}, "question": "yes?"}');
});
