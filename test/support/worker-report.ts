import type { WorkerReport } from "../../api/contract/worker-report.ts";

/** A worker that prefills 100 tokens a second and decodes 10, and holds 10 bytes a prompt token and 1 a new one. */
export const workerReport = (changes: Partial<WorkerReport> = {}): WorkerReport => ({
  v: 1,
  owner: "w",
  model: "words",
  engine: { version: "1", model_revision: "abc", device: "cpu", cache: { kind: "full" } },
  max_batch: 8,
  prefill_tokens_per_second: 100,
  decode_tokens_per_second: 10,
  capacity_bytes: { device: 500, host: 0 },
  sequence_bytes: [
    { prompt_tokens: 1, bytes: { device: 10, host: 0 } },
    { prompt_tokens: 101, bytes: { device: 1_010, host: 0 } },
  ],
  new_token_bytes: { device: 1, host: 0 },
  updated_ms: Date.now(),
  stopping: false,
  ...changes,
});
