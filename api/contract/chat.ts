import { z } from "zod";
import { Usage } from "./job.ts";
import { limits } from "./limits.ts";
import { Logprobs } from "./logprobs.ts";
import { Metadata } from "./metadata.ts";
import { OpenAiError } from "./problem.ts";
import { samplingFields, topLogprobsFault } from "./sampling.ts";

const TextPart = z.strictObject({
  type: z.literal("text"),
  text: z.string(),
});

const Message = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content: z.union([z.string(), z.array(TextPart).min(1)], {
    error: "must be text, or a list of parts of type `text`: the model reads nothing else",
  }),
  name: z.string().nullish(),
});

/** A parameter whose neutral value is taken, as clients send it, and whose effect we do not have. */
const neutral = <S extends z.ZodType>(schema: S) => schema.nullish();
const isEmpty = (list: unknown[]): boolean => list.length === 0;
const unsupported = { error: "is not supported: leave it out" };
/** Says who asks or where it is billed, and changes no answer. */
const ignored = z.unknown().optional();

/** OpenAI's clients may send null for what they leave out. */
function nullish<F extends Record<string, z.ZodType>>(fields: F) {
  const entries = Object.entries(fields).map(([name, schema]) => [name, schema.nullish()]);
  return Object.fromEntries(entries) as { [K in keyof F]: z.ZodOptional<z.ZodNullable<F[K]>> };
}

/** What an OpenAI client sends to POST /v1/chat/completions. */
export const CreateChatCompletion = z
  .strictObject({
    model: z.string().min(1),
    messages: z.array(Message).min(1).max(limits.messagesPerJob),
    max_completion_tokens: z.int().min(1).nullish(),
    max_tokens: z.int().min(1).nullish(),
    ...nullish(samplingFields),
    stream: z.boolean().nullish(),
    stream_options: z
      .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
      .nullish(),
    metadata: Metadata.nullish(),
    n: neutral(z.literal(1, { error: "must be 1: ask again for another answer" })),
    logit_bias: neutral(z.strictObject({})),
    tools: neutral(z.array(z.unknown()).refine(isEmpty, unsupported)),
    tool_choice: neutral(z.enum(["none", "auto"], unsupported)),
    response_format: neutral(z.strictObject({ type: z.literal("text", { error: "must be `text`" }) })),
    modalities: neutral(z.array(z.literal("text", { error: "must be `text`" }))),
    user: ignored,
    store: ignored,
    service_tier: ignored,
    safety_identifier: ignored,
    prompt_cache_key: ignored,
    prompt_cache_retention: ignored,
    parallel_tool_calls: ignored,
  })
  .superRefine((asked, context) => {
    const fault = topLogprobsFault(asked);
    if (fault !== null) context.addIssue({ code: "custom", path: ["top_logprobs"], message: fault });
  })
  .meta({ id: "CreateChatCompletion" });
export type CreateChatCompletion = z.infer<typeof CreateChatCompletion>;

export const chatExample = {
  model: "needle",
  messages: [{ role: "user", content: "Contract AB-1234 expires on 3 May 2030. When does contract AB-1234 expire?" }],
  max_completion_tokens: 64,
} satisfies z.input<typeof CreateChatCompletion>;

const FinishReason = z.enum(["stop", "length"]);

const common = {
  id: z.string().meta({ description: "`chatcmpl-` and the id of the job behind it." }),
  created: z.int(),
  model: z.string(),
};

export const ChatCompletion = z
  .object({
    ...common,
    system_fingerprint: z.string().nullable().meta({ description: "Of the model's files and the engine." }),
    object: z.literal("chat.completion"),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
        // Not `nullable()`, which of a named schema makes an OpenAPI schema that null does not fit.
        logprobs: z.union([Logprobs, z.null()]),
        finish_reason: FinishReason,
      }),
    ),
    usage: Usage,
  })
  .meta({ id: "ChatCompletion" });
export type ChatCompletion = z.infer<typeof ChatCompletion>;

/** One `data:` of a streamed answer. */
export const ChatCompletionChunk = z
  .object({
    ...common,
    object: z.literal("chat.completion.chunk"),
    choices: z
      .array(
        z.object({
          index: z.literal(0),
          delta: z.object({ role: z.literal("assistant").optional(), content: z.string().optional() }),
          logprobs: z.union([Logprobs, z.null()]).meta({ description: "Of the whole answer, with its end." }),
          finish_reason: z.union([FinishReason, z.null()]).meta({ description: "With the end of the answer." }),
        }),
      )
      .meta({ description: "None beside `usage`." }),
    usage: Usage.optional(),
  })
  .meta({ id: "ChatCompletionChunk" });
export type ChatCompletionChunk = z.infer<typeof ChatCompletionChunk>;

/** The `data:` that a streamed answer ends with in place of the rest, where there is none. */
export const ChatCompletionError = z.object({ error: OpenAiError }).meta({ id: "ChatCompletionError" });
export type ChatCompletionError = z.infer<typeof ChatCompletionError>;
