import { z } from "zod";
import { EngineInfo } from "./job.ts";

const Bytes = z.object({ device: z.number(), host: z.number() });

/** workers/<id>.json: what a worker says of itself every so often. The api has no engine, and asks here. */
export const WorkerReport = z.object({
  v: z.literal(1),
  owner: z.string(),
  model: z.string(),
  engine: EngineInfo,
  max_batch: z.int(),
  /** Measured since its start, of all sequences together; null until there is anything to measure. */
  prefill_tokens_per_second: z.number().nullable(),
  decode_tokens_per_second: z.number().nullable(),
  /** What sequences and their workspace can have. */
  capacity_bytes: Bytes,
  /**
   * What one sequence takes by the length of its prompt, ascending, workspace in `device`; and what each new token adds.
   * Between two lengths it is a straight line, to a chunk.
   */
  sequence_bytes: z.array(z.object({ prompt_tokens: z.int(), bytes: Bytes })),
  new_token_bytes: Bytes,
  updated_ms: z.int(),
  /** Its last word: the worker is gone, and its rates are a guess at the next one's. */
  stopping: z.boolean(),
});
export type WorkerReport = z.infer<typeof WorkerReport>;
