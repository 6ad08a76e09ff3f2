import { z } from "zod";
import { JobEvent, JobWebhook, Price, Priority } from "./job.ts";
import { limits } from "./limits.ts";
import { Metadata } from "./metadata.ts";
import { Sampling, samplingDefaults, topLogprobsFault } from "./sampling.ts";

const Question = z.string().min(1).max(limits.questionCharacters);

const DocumentRef = z
  .strictObject({
    text: z.string().min(1).optional(),
    id: z.string().min(1).optional().meta({ description: "Of a document from POST /v1/documents." }),
  })
  .refine((document) => (document.text === undefined) !== (document.id === undefined), {
    message: "must have either `text` or `id`",
  })
  .meta({ id: "DocumentRef", oneOf: [{ required: ["text"] }, { required: ["id"] }] });

export const ChatMessage = z
  .strictObject({ role: z.enum(["system", "user", "assistant"]), content: z.string() })
  .meta({ id: "ChatMessage" });
export type ChatMessage = z.infer<typeof ChatMessage>;

const asks = ["question", "questions", "messages", "prompt"] as const;
type Asks = { [K in (typeof asks)[number]]?: unknown };
const asked = (job: Asks) => asks.filter((name) => job[name] !== undefined);

const createJob = {
  model: z.string().min(1).optional().meta({ description: "Default: the model that is served." }),
  document: DocumentRef.optional(),
  documents: z
    .array(DocumentRef)
    .min(1)
    .max(limits.documentsPerJob)
    .optional()
    .meta({ description: "Several documents, read one after the other." }),
  question: Question.optional(),
  questions: z
    .array(Question)
    .min(1)
    .max(limits.questionsPerJob)
    .optional()
    .meta({ description: "Each is answered on its own." }),
  messages: z
    .array(ChatMessage)
    .min(1)
    .max(limits.messagesPerJob)
    .optional()
    .meta({ description: "A conversation; documents are put before its first user message." }),
  prompt: z.string().min(1).optional().meta({ description: "Text to go on from, without the model's chat template." }),
  max_tokens: z
    .int()
    .min(1)
    .default(limits.defaultMaxTokens)
    .meta({ description: "Of each answer. Prompt and answer together must fit the model." }),
  ...samplingDefaults,
  priority: Priority.default("normal"),
  deliver_by: z
    .number()
    .positive()
    .max(limits.latestSeconds)
    .optional()
    .meta({ description: "When the answer is wanted, in Unix seconds: jobs due sooner run sooner." }),
  ttl_seconds: z.int().min(1).max(limits.maxTtlSeconds).optional().meta({
    description: "A job that is not over after so long is `expired`. Default: it waits for as long as it takes.",
  }),
  max_total_tokens: z.int().min(1).optional().meta({
    description: "Hard cap on the prompt and answer tokens of the whole job; lowers `max_tokens` where it must.",
  }),
  max_cost: z
    .number()
    .positive()
    .optional()
    .meta({ description: "Hard cap as a sum of money, where the service has prices." }),
  quote_id: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Of a quote from POST /v1/jobs/quote: its tokens are a hard cap, and its price holds." }),
  metadata: Metadata.default({}),
  webhook: z
    .strictObject({
      url: z.url({ protocol: /^https?$/ }).max(limits.urlCharacters),
      events: z
        .array(JobEvent)
        .min(1)
        .max(JobEvent.options.length)
        .default([...JobEvent.options]),
    })
    .optional(),
};

const aDocument = { anyOf: [{ required: ["document"] }, { required: ["documents"] }] };
/** The rules between fields, for readers of the OpenAPI; superRefine below says them in words. */
const choices = {
  oneOf: [
    { required: ["question"], ...aDocument },
    { required: ["questions"], ...aDocument },
    { required: ["messages"] },
    { required: ["prompt"], not: aDocument },
  ],
  not: { required: ["document", "documents"] },
};

/** What a client sends to POST /v1/jobs. */
export const CreateJob = z
  .strictObject(createJob)
  .superRefine((job, context) => {
    const refuse = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
    const given = asked(job);
    if (given.length === 0) refuse("question", "or `questions`, `messages` or `prompt` must be given");
    if (given.length > 1) refuse(given[1] ?? "", `cannot be given beside \`${given[0]}\`: choose one`);
    const documents = job.document !== undefined || job.documents !== undefined;
    if (job.document && job.documents) refuse("documents", "cannot be given beside `document`: choose one");
    if ((job.question ?? job.questions) !== undefined && !documents) refuse("document", "is missing: give an object");
    const fault = topLogprobsFault(job);
    if (fault !== null) refuse("top_logprobs", fault);
    if (job.prompt !== undefined && documents) refuse("prompt", "goes without a document: put all of it into `prompt`");
  })
  .meta({ id: "CreateJob", ...choices });
export type CreateJob = z.infer<typeof CreateJob>;

/** For who tries it out: what a tool would make up from the schema has every field at once, and is refused. */
export const jobExample = {
  document: { text: "Contract AB-1234 expires on 3 May 2030." },
  question: "When does contract AB-1234 expire?",
  max_tokens: 64,
} satisfies z.input<typeof CreateJob>;

/** What is asked, of which texts. Of a batch: to validate its lines, or to run those of a shard. */
const JobInput = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("questions"), document_ids: z.array(z.string()), questions: z.array(z.string()) }),
  z.object({ kind: z.literal("messages"), document_ids: z.array(z.string()), messages: z.array(ChatMessage) }),
  z.object({ kind: z.literal("prompt"), document_ids: z.array(z.string()), prompt: z.string() }),
  z.object({ kind: z.literal("batch"), document_ids: z.array(z.string()), batch: z.string() }),
  z.object({
    kind: z.literal("shard"),
    document_ids: z.array(z.string()),
    batch: z.string(),
    shard: z.int(),
    /** Of the batch's input: the number of its first line, and its bytes, [start, end). */
    first_line: z.int(),
    start_byte: z.int(),
    end_byte: z.int(),
  }),
]);
export type JobInput = z.infer<typeof JobInput>;

/** request.json: what was asked, resolved; written once at submit. */
export const JobRequest = z.object({
  model: z.string(),
  input: JobInput,
  /** Exact, of each sequence. */
  prompt_tokens: z.array(z.int()),
  /** Of each sequence, with every cap of the job applied. */
  max_tokens: z.int(),
  ...Sampling.shape,
  priority: Priority,
  deliver_by_ms: z.int().nullable(),
  ttl_ms: z.int().nullable(),
  metadata: z.record(z.string(), z.string()),
  webhook: JobWebhook.nullable(),
  price: Price.nullable(),
  quote_id: z.string().nullable(),
  retry_of: z.string().nullable(),
  /** SHA-256 of the Idempotency-Key it came with. */
  idempotency_hash: z.string().nullable(),
});
export type JobRequest = z.infer<typeof JobRequest>;
