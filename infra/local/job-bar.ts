import { Presets, SingleBar } from "cli-progress";
import type { JobProgress } from "../../api/contract/job.ts";

/** A progress bar of a job on stderr; where that is no terminal, a line every two seconds. */
export function createJobBar() {
  const bar = new SingleBar(
    {
      format: "prefill {bar} {value}/{total} tokens | {generated} tokens decoded | {done}/{questions} answers",
      stream: process.stderr,
      noTTYOutput: true,
      notTTYSchedule: 2_000,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    show(progress: JobProgress): void {
      const shown = {
        generated: progress.generated_tokens,
        done: progress.questions_done,
        questions: progress.questions_total,
      };
      if (started) bar.update(progress.prefill_tokens, shown);
      else bar.start(progress.prompt_tokens, progress.prefill_tokens, shown);
      started = true;
    },
    stop: (): void => bar.stop(),
  };
}
