import { z } from "zod";
import { Price } from "./job.ts";

/** t/<tenant>/q/<id>.json: what was promised. */
export const Quote = z.object({
  id: z.string(),
  prompt_tokens: z.int(),
  max_total_tokens: z.int(),
  price: Price.nullable(),
  expires_ms: z.int(),
});
export type Quote = z.infer<typeof Quote>;

const Bytes = z.object({ device_bytes: z.number(), host_bytes: z.number() });

/** What POST /v1/jobs/quote returns. */
export const JobQuote = z
  .object({
    object: z.literal("job.quote"),
    id: z.string().meta({ description: "`quote_id` of a job that must not take more than this." }),
    model: z.string(),
    expires_at: z.number(),
    prompt_tokens: z.int().meta({ description: "Exact, over all answers." }),
    max_tokens: z.int().meta({ description: "Of each answer, under every cap that was asked for." }),
    max_total_tokens: z.int(),
    fits: z.boolean().nullable().meta({
      description: "Whether a worker has the memory for its longest sequence; null if no worker has ever said.",
    }),
    memory: z
      .object({ ...Bytes.shape, capacity: Bytes })
      .nullable()
      .meta({ description: "Of its longest sequence, and what the worker has." }),
    workers: z.int().meta({ description: "That are running now." }),
    estimated_wait_seconds: z.number().nullable(),
    estimated_run_seconds: z
      .number()
      .nullable()
      .meta({ description: "At the rates that the workers have measured; null until there are any." }),
    max_cost: z.object({ amount: z.number(), currency: z.string() }).nullable(),
  })
  .meta({ id: "JobQuote" });
export type JobQuote = z.infer<typeof JobQuote>;
