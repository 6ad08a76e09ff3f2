import type { JobProgress } from "../../api/contract/job.ts";
import type { Progress } from "../../native/index.ts";

/** Adds up the progress of the sequences of one job. */
export type ProgressSum = {
  update(question: number, progress: Progress): void;
  finish(question: number, generatedTokens: number): void;
  /** A new object whenever anything changed. */
  current(): JobProgress;
};

export function createProgressSum(promptTokens: readonly number[]): ProgressSum {
  const prefill = promptTokens.map(() => 0);
  const generated = promptTokens.map(() => 0);
  const done = promptTokens.map(() => false);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const add = (): JobProgress => ({
    prompt_tokens: sum(promptTokens),
    prefill_tokens: sum(prefill),
    generated_tokens: sum(generated),
    questions_done: done.filter(Boolean).length,
    questions_total: promptTokens.length,
  });
  let current = add();

  return {
    update(question, progress) {
      if (done[question]) return;
      prefill[question] = progress.prefillTokens;
      generated[question] = progress.generatedTokens;
      current = add();
    },
    finish(question, generatedTokens) {
      prefill[question] = promptTokens[question] ?? 0;
      generated[question] = generatedTokens;
      done[question] = true;
      current = add();
    },
    current: () => current,
  };
}
