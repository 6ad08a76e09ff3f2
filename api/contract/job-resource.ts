import { z } from "zod";
import { EngineInfo, JobFailure, JobProgress, JobStatus, JobWebhook, Priority, Usage } from "./job.ts";

/** What GET /v1/jobs/{id} returns. Times in Unix seconds. */
export const Job = z
  .object({
    object: z.literal("job"),
    id: z.string(),
    status: JobStatus,
    model: z.string(),
    attempt: z.int().meta({ description: "Times a worker has taken the job up." }),
    progress: JobProgress,
    priority: Priority,
    cancel_requested: z.boolean(),
    queue_position: z.int().nullable().meta({
      description:
        "Jobs that go before it, running ones among them; of a long queue true to one in a hundred. Null once it runs.",
    }),
    estimated_start_at: z.number().nullable(),
    estimated_finish_at: z
      .number()
      .nullable()
      .meta({ description: "At the rates that the workers have measured; null until there are any." }),
    metadata: z.record(z.string(), z.string()),
    created_at: z.number(),
    started_at: z.number().nullable(),
    finished_at: z.number().nullable(),
    deliver_by: z.number().nullable(),
    expires_at: z.number().nullable().meta({ description: "A job that is not over by then is `expired`." }),
    usage: Usage.nullable().meta({ description: "Once the job is over." }),
    cost: z.object({ amount: z.number(), currency: z.string() }).nullable(),
    timings: z
      .object({ queued_ms: z.number(), prefill_ms: z.number(), decode_ms: z.number() })
      .nullable()
      .meta({ description: "Once the job is over." }),
    engine: EngineInfo.nullable().meta({ description: "What ran its latest attempt." }),
    hit_rate: z.number().nullable(),
    error: JobFailure.nullable(),
    webhook: JobWebhook.nullable(),
    quote_id: z.string().nullable(),
    retry_of: z.string().nullable(),
    urls: z.object({ self: z.string(), result: z.string(), cancel: z.string() }),
  })
  .meta({ id: "Job" });
export type Job = z.infer<typeof Job>;

/** An event of a job: what has come to one of its answers. */
export const JobText = z
  .object({ index: z.int().meta({ description: "Of the answer." }), text: z.string() })
  .meta({ id: "JobText" });
export type JobText = z.infer<typeof JobText>;

export const JobList = z
  .object({
    object: z.literal("list"),
    data: z.array(Job),
    has_more: z.boolean(),
    next_cursor: z.string().nullable().meta({ description: "`after` of the next page." }),
  })
  .meta({ id: "JobList" });
export type JobList = z.infer<typeof JobList>;
