import { z } from "zod";
import {
  BatchEndpoint,
  BatchError,
  BatchEvent,
  BatchStatus,
  BatchUsage,
  BatchWebhook,
  RequestCounts,
} from "./batch.ts";
import { ExpiresAfter } from "./file.ts";
import { limits } from "./limits.ts";
import { Metadata } from "./metadata.ts";

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
          description:
            "Of running it alone at the rates that the workers have measured; null without any, and after the run.",
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
