import type { JobProgress, JobRequest, JobResult } from "../../api/contract/job.ts";

export const jobRequest: JobRequest = {
  model: "needle",
  document_id: "doc_1",
  questions: ["What is the code of the north gate?"],
  max_tokens: 32,
  temperature: 0,
  top_p: 1,
  top_k: 0,
  seed: 0,
  metadata: { team: "archive" },
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
      usage: { prompt_tokens: 9_000, completion_tokens: 3, total_tokens: 9_003 },
      timings: { queue_ms: 1, prefill_ms: 2, decode_ms: 3 },
      cache: { device_bytes: 1, host_bytes: 2, full_bytes: 3, hit_rate: 0.5 },
    },
  ],
  usage: { prompt_tokens: 9_000, completion_tokens: 3, total_tokens: 9_003 },
});
