import { z } from "zod";
import { type JobResult, timeInPrefillMs } from "../../api/contract/job-result.ts";

export const SampleQuestions = z.array(z.object({ question: z.string(), expected: z.string() })).min(1);
export type SampleQuestions = z.infer<typeof SampleQuestions>;

/** What `npm run quickstart -- --json` prints. */
export type SampleReport = {
  ok: boolean;
  answers: { question: string; answer: string; expected: string }[];
  /** Of each answer's prompt, all answers together. */
  prompt_tokens: number;
  /** Of these, those that the questions had in common, beyond the first one's. */
  cached_tokens: number;
  prefill_tokens_per_second: number;
  decode_tokens_per_second: number;
  /** What full attention would keep on the device. */
  kv_bytes_full: number;
  /** What ShadowKV keeps there, and the values that it has moved to the host. */
  kv_bytes_shadow: number;
  kv_bytes_shadow_host: number;
};

export function reportSample(questions: SampleQuestions, result: JobResult): SampleReport {
  const answers = result.answers.map(({ question, answer }, index) => ({
    question: question ?? "",
    answer,
    expected: questions[index]?.expected ?? "",
  }));
  const sum = (of: (answer: JobResult["answers"][number]) => number) =>
    result.answers.reduce((total, answer) => total + of(answer), 0);
  // The first token comes from the prefill. While another prompt is in prefill a sequence decodes at a fraction of
  // its speed, so the rate to show is that of the sequence that was disturbed least.
  const decodeRates = result.answers.map(
    ({ usage, timings }) => (usage.completion_tokens - 1) / Math.max(timings.decode_ms / 1000, 1e-6),
  );
  const { prompt_tokens, prompt_tokens_details } = result.usage;
  const computed = prompt_tokens - prompt_tokens_details.cached_tokens;
  return {
    ok: answers.length === questions.length && answers.every(({ answer, expected }) => answer === expected),
    answers,
    prompt_tokens,
    cached_tokens: prompt_tokens_details.cached_tokens,
    prefill_tokens_per_second: round(computed / (timeInPrefillMs(result.answers) / 1000)),
    decode_tokens_per_second: round(Math.max(...decodeRates)),
    kv_bytes_full: sum(({ cache }) => cache.full_bytes),
    kv_bytes_shadow: sum(({ cache }) => cache.device_bytes),
    kv_bytes_shadow_host: sum(({ cache }) => cache.host_bytes),
  };
}

const round = (value: number): number => Math.round(value * 10) / 10;

const n = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 0 });
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** The report to read, and what to try next. */
export function formatReport(report: SampleReport, { answers }: JobResult, documentId: string): string {
  return [
    "",
    ...report.answers.flatMap(({ question, answer, expected }) => [
      `${answer === expected ? "✓" : "✗"} ${question}`,
      `  ${answer}`,
      ...(answer === expected ? [] : [`  expected: ${expected}`]),
    ]),
    "",
    `prompts    ${n(report.prompt_tokens)} tokens, ${n(report.cached_tokens)} of them in common and computed once`,
    `prefill    ${n(report.prefill_tokens_per_second)} tokens/s`,
    `decode     ${n(report.decode_tokens_per_second)} tokens/s`,
    `KV state   full attention ${mib(report.kv_bytes_full)}, ShadowKV ${mib(report.kv_bytes_shadow)} + ${mib(report.kv_bytes_shadow_host)} of values moved to the host`,
    "",
    "Next: run `npm start`, and in another terminal",
    `  curl localhost:8080/v1/documents -H 'content-type: text/plain' --data-binary @native/models/needle/sample/document.txt`,
    `  curl localhost:8080/v1/jobs -H 'content-type: application/json' \\`,
    `    -d '{"document": {"id": "${documentId}"}, "question": ${JSON.stringify(answers[0]?.question)}}'`,
    `  curl localhost:8080/v1/jobs/JOB_ID`,
    `  curl localhost:8080/v1/jobs/JOB_ID/result`,
  ].join("\n");
}
