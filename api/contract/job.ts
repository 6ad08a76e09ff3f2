import { z } from "zod";

export const JobStatus = z.enum(["queued", "running", "succeeded", "failed", "cancelled", "expired"]);
export type JobStatus = z.infer<typeof JobStatus>;

/** Terminal states absorb: nothing leaves them. */
export const TRANSITIONS: Record<JobStatus, readonly JobStatus[]> = {
  queued: ["running", "failed", "cancelled", "expired"],
  running: ["queued", "running", "succeeded", "failed", "cancelled", "expired"],
  succeeded: [],
  failed: [],
  cancelled: [],
  expired: [],
};

export const isTerminal = (status: JobStatus): boolean => TRANSITIONS[status].length === 0;

/** Token-exact progress, summed over the questions of the job. */
export const JobProgress = z
  .object({
    prompt_tokens: z.int(),
    prefill_tokens: z.int(),
    generated_tokens: z.int(),
    questions_done: z.int(),
    questions_total: z.int(),
  })
  .meta({ id: "JobProgress", description: "Summed over the questions of the job." });
export type JobProgress = z.infer<typeof JobProgress>;

export const JobFailure = z.object({ code: z.string(), message: z.string() });
export type JobFailure = z.infer<typeof JobFailure>;

export const Usage = z
  .object({
    prompt_tokens: z.int(),
    /** Of the prompt tokens, those computed for another prompt that began with them. */
    prompt_tokens_details: z.object({ cached_tokens: z.int() }),
    completion_tokens: z.int(),
    total_tokens: z.int(),
  })
  .meta({ id: "Usage" });
export type Usage = z.infer<typeof Usage>;

/** What ran a job, so that its result can be explained and repeated. */
export const EngineInfo = z
  .object({
    version: z.string(),
    /** SHA-256 over the files of the model. */
    model_revision: z.string(),
    device: z.string(),
    /** Of the engine's weights, activations and caches; jobs from before there was a choice have none. */
    dtype: z.string().optional(),
    /** `kind`, and the knobs of that kind. */
    cache: z.record(z.string(), z.union([z.string(), z.number()])),
  })
  .meta({ id: "EngineInfo" });
export type EngineInfo = z.infer<typeof EngineInfo>;

/** Prices of a million tokens, in `currency`. */
export const Price = z.object({
  currency: z.string(),
  prompt: z.number(),
  cached: z.number(),
  completion: z.number(),
});
export type Price = z.infer<typeof Price>;

/** `high` before `normal` before `low`; within one priority the nearest `deliver_by` comes first. */
export const Priority = z.enum(["high", "normal", "low"]);
export type Priority = z.infer<typeof Priority>;

/** What a webhook can tell: the end of a job, in one of its four ways. */
export const JobEvent = z.enum(["job.succeeded", "job.failed", "job.cancelled", "job.expired"]);
export type JobEvent = z.infer<typeof JobEvent>;

export const JobWebhook = z.object({ url: z.string(), events: z.array(JobEvent) });
export type JobWebhook = z.infer<typeof JobWebhook>;

/** state.json: the one mutable object of a job, changed only by compare-and-swap. Times in ms since the epoch. */
export const JobState = z.object({
  version: z.literal(1),
  id: z.string(),
  tenant: z.string(),
  model: z.string(),
  revision: z.int(),
  status: JobStatus,
  /** Times a worker has claimed the job. */
  attempt: z.int(),
  /** An engine died while it ran, and it may be why: from then on it runs alone. */
  is_suspect: z.boolean().default(false),
  lease: z.object({ owner: z.string(), token: z.string(), until_ms: z.int() }).nullable(),
  progress: JobProgress,
  /** When a client asked to cancel it; whoever holds the lease then ends it. */
  cancel_requested_ms: z.int().nullable(),
  /** Until then somebody wants its text as it is generated. */
  watched_until_ms: z.int().nullable(),
  priority: Priority,
  deliver_by_ms: z.int().nullable(),
  /** A job that is not over by then is `expired`. */
  expires_ms: z.int().nullable(),
  /** The most it may take, over all its sequences; counts against its tenant's quota until it is over. */
  reserved: z.object({ prompt_tokens: z.int(), completion_tokens: z.int() }),
  metadata: z.record(z.string(), z.string()),
  webhook: JobWebhook.nullable(),
  price: Price.nullable(),
  quote_id: z.string().nullable(),
  /** The job of which this one is a new try. */
  retry_of: z.string().nullable(),
  /** The batch whose lines it validates (`shard` is null) or runs. */
  batch: z.object({ id: z.string(), shard: z.int().nullable() }).nullable().default(null),
  created_ms: z.int(),
  started_ms: z.int().nullable(),
  finished_ms: z.int().nullable(),
  usage: Usage.nullable(),
  /** Once it is over. Prefill of all its sequences together, decode of the longest. */
  timings: z.object({ queued_ms: z.number(), prefill_ms: z.number(), decode_ms: z.number() }).nullable(),
  /** Of its latest attempt. */
  engine: EngineInfo.nullable(),
  /** Share of the selected chunks that were on the device already. */
  hit_rate: z.number().nullable(),
  error: JobFailure.nullable(),
});
export type JobState = z.infer<typeof JobState>;

/** A queue message: a pointer, with what a worker needs to choose among several; never the work itself. */
export const JobMessage = z.object({
  v: z.literal(1),
  tenant: z.string(),
  job: z.string(),
  priority: Priority,
  deliver_by_ms: z.int().nullable(),
  /** Prompt and answers, over all its sequences: the most it may take. */
  reserved_tokens: z.int(),
  /** Jobs with the same value begin with the same text; null if the job has no document. */
  document: z.string().nullable(),
});
export type JobMessage = z.infer<typeof JobMessage>;
