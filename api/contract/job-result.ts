import { z } from "zod";
import { Usage } from "./job.ts";
import { Logprobs } from "./logprobs.ts";

/** `cancelled`: the job ended, cancelled or expired, before this answer did; what there was of it is kept. */
const FinishReason = z.enum(["stop", "length", "cancelled"]);

/** result.json, written once, and partial.json; GET /v1/jobs/{id}/result returns it as it is. */
export const JobResult = z
  .object({
    object: z.literal("job.result"),
    id: z.string(),
    model: z.string(),
    attempt: z.int(),
    answers: z.array(
      z.object({
        /** null where the job has messages or a bare prompt. */
        question: z.string().nullable(),
        answer: z.string(),
        finish_reason: FinishReason,
        /** Where they were asked for, and the answer came to its end. */
        logprobs: Logprobs.optional(),
        usage: Usage,
        timings: z.object({ queue_ms: z.number(), prefill_ms: z.number(), decode_ms: z.number() }),
        /** Bytes of this sequence's KV state, and what full attention would take. */
        cache: z.object({
          device_bytes: z.int(),
          host_bytes: z.int(),
          full_bytes: z.int(),
          hit_rate: z.number(),
        }),
      }),
    ),
    usage: Usage,
  })
  .meta({ id: "JobResult" });
export type JobResult = z.infer<typeof JobResult>;

/** How long prompts of the job were in prefill: one after the other, or several at once that begin alike. */
export function timeInPrefillMs(answers: JobResult["answers"]): number {
  const spans = answers
    .map(({ timings }) => ({ from: timings.queue_ms, to: timings.queue_ms + timings.prefill_ms }))
    .sort((a, b) => a.from - b.from);
  let total = 0;
  let until = Number.NEGATIVE_INFINITY;
  for (const { from, to } of spans) {
    total += Math.max(0, to - Math.max(from, until));
    until = Math.max(until, to);
  }
  return total;
}
