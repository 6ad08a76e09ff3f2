import { z } from "zod";
import { ExpiresAfter } from "./file.ts";
import { Price } from "./job.ts";
import { limits } from "./limits.ts";
import { Metadata } from "./metadata.ts";

/** What a line of a batch may ask for. OpenAI has more; a model that only generates text does not. */
const BatchEndpoint = z.enum(["/v1/chat/completions"]);

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

const BatchWebhook = z.object({ url: z.string(), events: z.array(BatchEvent) });

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

/** What a client sends to POST /v1/batches. */
export const CreateBatch = z
  .strictObject({
    input_file_id: z.string().min(1),
    endpoint: z.enum(BatchEndpoint.options, {
      error: `must be one of ${BatchEndpoint.options.map((path) => `\`${path}\``).join(", ")}: the model does nothing else`,
    }),
    completion_window: z.literal("24h", { error: "must be `24h`" }),
    metadata: Metadata.nullish(),
    output_expires_after: ExpiresAfter.nullish(),
    webhook: z
      .strictObject({
        url: z.url({ protocol: /^https?$/ }).max(limits.urlCharacters),
        events: z
          .array(BatchEvent)
          .min(1)
          .max(BatchEvent.options.length)
          .default([...BatchEvent.options]),
      })
      .nullish()
      .meta({ description: "Not OpenAI's, whose webhooks belong to a project. Where the end of this batch is told." }),
    dry_run: z.boolean().default(false).meta({
      description:
        "Not OpenAI's. Validates every line and fills `errors` and `quote`; the batch is then `completed`, and nothing ran.",
    }),
  })
  .meta({ id: "CreateBatch" });
export type CreateBatch = z.infer<typeof CreateBatch>;

const time = z.int().optional();

/** What GET /v1/batches/{id} returns: OpenAI's object, with `dry_run` and `quote` beside it. Times in whole Unix seconds. */
export const Batch = z
  .object({
    object: z.literal("batch"),
    id: z.string(),
    endpoint: BatchEndpoint,
    model: z.string(),
    input_file_id: z.string(),
    completion_window: z.literal("24h"),
    status: BatchStatus,
    errors: z
      .object({ object: z.literal("list"), data: z.array(BatchError) })
      .optional()
      .meta({
        description:
          "What is wrong with lines, by their numbers. A `failed` batch ran none of its lines; any other runs all but those " +
          "named here, which are failed with the same words in the error file.",
      }),
    output_file_id: z.string().optional().meta({ description: "The lines that were answered, once it is over." }),
    error_file_id: z.string().optional().meta({ description: "The lines that were not." }),
    created_at: z.int(),
    expires_at: z.int(),
    in_progress_at: time,
    finalizing_at: time,
    completed_at: time,
    failed_at: time,
    expired_at: time,
    cancelling_at: time,
    cancelled_at: time,
    request_counts: RequestCounts.meta({ description: "`total` is 0 until the lines are validated." }),
    usage: BatchUsage.optional().meta({ description: "Once the batch is over." }),
    metadata: z.record(z.string(), z.string()).nullable(),
    webhook: BatchWebhook.nullable(),
    dry_run: z.boolean(),
    quote: z
      .object({
        requests: z.int().meta({ description: "Lines that are valid." }),
        prompt_tokens: z.int().meta({ description: "Exact, over all of these." }),
        max_total_tokens: z.int(),
        estimated_hours: z.number().nullable().meta({
          description: "Of running it alone at the rates that the workers have measured; null until there are any.",
        }),
        max_cost: z.object({ amount: z.number(), currency: z.string() }).nullable(),
      })
      .nullable()
      .meta({ description: "What all lines take at most, once they are validated." }),
  })
  .meta({ id: "Batch" });
export type Batch = z.infer<typeof Batch>;

export const BatchList = z
  .object({
    object: z.literal("list"),
    data: z.array(Batch),
    first_id: z.string().nullable(),
    last_id: z.string().nullable().meta({ description: "For `after` of the next page." }),
    has_more: z.boolean(),
  })
  .meta({ id: "BatchList" });
