import type { JobProgress, Usage } from "../../api/contract/job.ts";
import type { JobRequest } from "../../api/contract/job-request.ts";
import type { JobResult } from "../../api/contract/job-result.ts";
import { Sampling } from "../../api/contract/sampling.ts";

export const usage = (prompt: number, completion: number): Usage => ({
  prompt_tokens: prompt,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens: completion,
  total_tokens: prompt + completion,
});

export const jobRequest: JobRequest = {
  model: "needle",
  input: { kind: "questions", document_ids: ["doc_1"], questions: ["What is the code of the north gate?"] },
  prompt_tokens: [9_000],
  max_tokens: 32,
  ...Sampling.parse({}),
  priority: "normal",
  deliver_by_ms: null,
  ttl_ms: null,
  metadata: { team: "archive" },
  webhook: null,
  price: null,
  quote_id: null,
  retry_of: null,
  idempotency_hash: null,
};

export const jobProgress: JobProgress = {
  prompt_tokens: 9_000,
  prefill_tokens: 0,
  generated_tokens: 0,
  questions_done: 0,
  questions_total: 1,
};

export const jobResult = (id: string, attempt: number, answer = "4711"): JobResult => ({
  object: "job.result",
  id,
  model: "needle",
  attempt,
  answers: [
    {
      question: "What is the code of the north gate?",
      answer,
      finish_reason: "stop",
      usage: usage(9_000, 3),
      timings: { queue_ms: 1, prefill_ms: 2, decode_ms: 3 },
      cache: { device_bytes: 1, host_bytes: 2, full_bytes: 3, hit_rate: 0.5 },
    },
  ],
  usage: usage(9_000, 3),
});
