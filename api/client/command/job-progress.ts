import { counted } from "../../contract/counted.ts";
import type { Job } from "../../contract/job-resource.ts";
import type { ProgressLine } from "./progress.ts";

/** Bars of one job: its prefill to the token, then its decoding. `maxTokens` is of each answer, where it is known. */
export function jobProgress(
  { status, progress, queue_position }: Pick<Job, "status" | "progress" | "queue_position">,
  maxTokens?: number,
): ProgressLine[] {
  const { prompt_tokens, prefill_tokens, generated_tokens, questions_done, questions_total } = progress;
  const waiting = queue_position === null ? status : `${status}, ${queue_position} before it`;
  const answers = `${questions_done}/${counted(questions_total, "answer")}`;
  const prefill: ProgressLine = {
    name: "prefill",
    value: prefill_tokens,
    total: prompt_tokens,
    unit: "token",
    note: status === "queued" ? waiting : status,
  };
  // The end of an answer is the model's: only an upper bound is known before.
  const most = questions_done === questions_total ? generated_tokens : (maxTokens ?? 0) * questions_total;
  const decode: ProgressLine =
    most >= generated_tokens && most > 0
      ? { name: "decode", value: generated_tokens, total: most, unit: "token", note: answers }
      : {
          name: "decode",
          value: questions_done,
          total: questions_total,
          unit: "answer",
          note: counted(generated_tokens, "token"),
        };
  return [prefill, decode];
}
