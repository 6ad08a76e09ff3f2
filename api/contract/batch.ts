import { z } from "zod";
import { Price } from "./job.ts";

/** What a line of a batch may ask for. OpenAI has more; a model that only generates text does not. */
export const BatchEndpoint = z.enum(["/v1/chat/completions"]);

export const BatchStatus = z.enum([
  "validating",
  "failed",
  "in_progress",
  "finalizing",
  "completed",
  "expired",
  "cancelling",
  "cancelled",
]);
export type BatchStatus = z.infer<typeof BatchStatus>;

/** `failed` is of batches of which no line ran, `completed` also of dry runs. Terminal states absorb. */
export const BATCH_TRANSITIONS: Record<BatchStatus, readonly BatchStatus[]> = {
  validating: ["in_progress", "completed", "failed", "cancelling", "expired"],
  in_progress: ["finalizing", "cancelling"],
  finalizing: ["completed", "expired"],
  cancelling: ["cancelled"],
  completed: [],
  failed: [],
  expired: [],
  cancelled: [],
};

/** What a webhook can tell of a batch: its end, in one of its four ways. OpenAI's names. */
export const BatchEvent = z.enum(["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"]);
export type BatchEvent = z.infer<typeof BatchEvent>;

export const BatchWebhook = z.object({ url: z.string(), events: z.array(BatchEvent) });

export const isBatchOver = (status: BatchStatus): boolean => BATCH_TRANSITIONS[status].length === 0;

/**
 * What can be wrong with a batch before anything of it runs; OpenAI's codes where there are any. Of `invalid_request` and
 * `context_overflow` only the lines themselves fail, of the others the whole batch.
 */
export const BatchErrorCode = z.enum([
  "empty_file",
  "too_many_tasks",
  "invalid_json_line",
  "line_too_long",
  "invalid_line",
  "missing_custom_id",
  "duplicate_custom_id",
  "invalid_method",
  "url_mismatch",
  "model_mismatch",
  "invalid_request",
  "context_overflow",
  "more_errors",
  "input_file_missing",
  "validation_failed",
]);
export type BatchErrorCode = z.infer<typeof BatchErrorCode>;

export const BatchError = z.object({
  code: BatchErrorCode,
  line: z.int().nullable().meta({ description: "Of the input file; the first is 1." }),
  message: z.string(),
  param: z.string().nullable(),
});
export type BatchError = z.infer<typeof BatchError>;

export const RequestCounts = z.object({ total: z.int(), completed: z.int(), failed: z.int() });
export type RequestCounts = z.infer<typeof RequestCounts>;

export const BatchUsage = z.object({
  input_tokens: z.int(),
  input_tokens_details: z.object({ cached_tokens: z.int() }),
  output_tokens: z.int(),
  output_tokens_details: z.object({ reasoning_tokens: z.int() }),
  total_tokens: z.int(),
});
export type BatchUsage = z.infer<typeof BatchUsage>;

/** What all lines may take together: prompts exactly, answers at most. Known once the lines are validated. */
const BatchSize = z.object({ prompt_tokens: z.int(), completion_tokens: z.int() });
export type BatchSize = z.infer<typeof BatchSize>;

/** batch.json: the one mutable object of a batch, changed only by compare-and-swap. Times in ms since the epoch. */
export const BatchState = z.object({
  version: z.literal(1),
  id: z.string(),
  tenant: z.string(),
  revision: z.int(),
  status: BatchStatus,
  endpoint: BatchEndpoint,
  input_file_id: z.string(),
  model: z.string(),
  metadata: z.record(z.string(), z.string()).nullable(),
  output_expires_seconds: z.int().nullable(),
  webhook: BatchWebhook.nullable().default(null),
  /** Only to be validated and quoted. */
  dry_run: z.boolean(),
  price: Price.nullable(),
  errors: z.array(BatchError),
  /** Lines of the input file; 0 until they are validated. */
  lines: z.int(),
  /** Of these, those whose request cannot be answered: they run no more than it takes to tell them so. */
  invalid_lines: z.int().default(0),
  /** Parts of it that run on their own. */
  shards: z.int(),
  size: BatchSize.nullable(),
  /** Of the whole batch, once it is over; until then they are counted from its shards. */
  request_counts: RequestCounts.nullable(),
  usage: BatchUsage.nullable(),
  output_file_id: z.string().nullable(),
  error_file_id: z.string().nullable(),
  created_ms: z.int(),
  expires_ms: z.int(),
  in_progress_ms: z.int().nullable(),
  finalizing_ms: z.int().nullable(),
  completed_ms: z.int().nullable(),
  failed_ms: z.int().nullable(),
  expired_ms: z.int().nullable(),
  cancelling_ms: z.int().nullable(),
  cancelled_ms: z.int().nullable(),
});
export type BatchState = z.infer<typeof BatchState>;
