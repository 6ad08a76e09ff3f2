import { z } from "zod";
import { limits } from "./limits.ts";

const Question = z.string().min(1).max(limits.questionCharacters);

/** What a client sends to POST /v1/jobs. */
export const CreateJob = z
  .strictObject({
    model: z.string().min(1).optional().meta({ description: "Default: the model that is served." }),
    document: z
      .strictObject({
        text: z.string().min(1).optional(),
        id: z.string().min(1).optional().meta({ description: "Of a document from POST /v1/documents." }),
      })
      .refine((document) => (document.text === undefined) !== (document.id === undefined), {
        message: "must have either `text` or `id`",
      }),
    question: Question.optional(),
    questions: z.array(Question).min(1).max(limits.questionsPerJob).optional(),
    max_tokens: z
      .int()
      .min(1)
      .default(limits.defaultMaxTokens)
      .meta({ description: "Of each answer. Prompt and answer together must fit the model." }),
    temperature: z.number().min(0).max(2).default(0).meta({ description: "0 takes the likeliest token each time." }),
    top_p: z.number().gt(0).max(1).default(1),
    top_k: z.int().min(0).default(0).meta({ description: "0 is off." }),
    seed: z.int().min(0).default(0),
    metadata: z.record(z.string().max(64), z.string().max(512)).default({}),
  })
  .refine((job) => (job.question === undefined) !== (job.questions === undefined), {
    path: ["question"],
    message: "or `questions` must be given, and not both",
  })
  .meta({ id: "CreateJob" });
export type CreateJob = z.infer<typeof CreateJob>;

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

/** request.json: what was asked, resolved; written once at submit. */
export const JobRequest = z.object({
  model: z.string(),
  document_id: z.string(),
  questions: z.array(z.string()),
  max_tokens: z.int(),
  temperature: z.number(),
  top_p: z.number(),
  top_k: z.int(),
  seed: z.int(),
  metadata: z.record(z.string(), z.string()),
});
export type JobRequest = z.infer<typeof JobRequest>;

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

/** What a webhook can tell: the end of a job, in one of its four ways. */
export const JobEvent = z.enum(["job.succeeded", "job.failed", "job.cancelled", "job.expired"]);
export type JobEvent = z.infer<typeof JobEvent>;

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
  lease: z.object({ owner: z.string(), token: z.string(), until_ms: z.int() }).nullable(),
  progress: JobProgress,
  metadata: z.record(z.string(), z.string()),
  created_ms: z.int(),
  sent_ms: z.int().nullable(),
  started_ms: z.int().nullable(),
  finished_ms: z.int().nullable(),
  error: JobFailure.nullable(),
});
export type JobState = z.infer<typeof JobState>;

const Usage = z.object({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() });

/** result.json: written once; GET /v1/jobs/{id}/result returns it as it is. */
export const JobResult = z
  .object({
    object: z.literal("job.result"),
    id: z.string(),
    model: z.string(),
    attempt: z.int(),
    answers: z.array(
      z.object({
        question: z.string(),
        answer: z.string(),
        finish_reason: z.enum(["stop", "length"]),
        usage: Usage,
        timings: z.object({ queue_ms: z.number(), prefill_ms: z.number(), decode_ms: z.number() }),
        /** Bytes of this sequence's KV state, and what full attention would take. */
        cache: z.object({
          device_bytes: z.int(),
          host_bytes: z.int(),
          full_bytes: z.int(),
          hit_rate: z.number(),
        }),
      }),
    ),
    usage: Usage,
  })
  .meta({ id: "JobResult" });
export type JobResult = z.infer<typeof JobResult>;

/** What GET /v1/jobs/{id} returns. Times in Unix seconds. */
export const Job = z
  .object({
    object: z.literal("job"),
    id: z.string(),
    status: JobStatus,
    model: z.string(),
    attempt: z.int(),
    progress: JobProgress,
    metadata: z.record(z.string(), z.string()),
    created_at: z.number(),
    started_at: z.number().nullable(),
    finished_at: z.number().nullable(),
    error: JobFailure.nullable(),
    urls: z.object({ self: z.string(), result: z.string() }),
  })
  .meta({ id: "Job" });
export type Job = z.infer<typeof Job>;

/** A queue message: a pointer, never the work itself. */
export const JobMessage = z.object({ v: z.literal(1), tenant: z.string(), job: z.string() });
export type JobMessage = z.infer<typeof JobMessage>;
