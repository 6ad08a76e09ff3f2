// What a chat asks of a job, the same for one that comes alone and for a line of a batch.
import type { CreateChatCompletion } from "./chat.ts";
import type { ChatMessage } from "./job-request.ts";
import { limits } from "./limits.ts";
import { Sampling, samplingFields } from "./sampling.ts";

const SAMPLING = Object.keys(samplingFields) as (keyof typeof samplingFields)[];

export const chatMessages = ({ messages }: CreateChatCompletion): ChatMessage[] =>
  messages.map(({ role, content }) => ({
    role: role === "developer" ? "system" : role,
    content: typeof content === "string" ? content : content.map(({ text }) => text).join("\n"),
  }));

/** What is left out is as with OpenAI: temperature 1, and `seed`, which should be another one each time. */
export function chatSampling(asked: CreateChatCompletion, seed: number): Sampling {
  // What is null is left out, so that it takes its default.
  const given = Object.fromEntries(SAMPLING.map((field) => [field, asked[field] ?? undefined]));
  return Sampling.parse({
    ...given,
    temperature: asked.temperature ?? 1,
    seed: asked.seed === null || asked.seed === undefined ? seed : Math.abs(asked.seed),
  });
}

/** The most tokens of the answer, if the client says; null if the model's room decides. */
export const askedTokens = ({ max_completion_tokens, max_tokens }: CreateChatCompletion): number | null =>
  max_completion_tokens ?? max_tokens ?? null;

/** As much of the context as is left, but memory is set aside for all of it: no more than a long answer takes. */
export const roomForAnswer = (promptTokens: number, maxPositions: number): number =>
  Math.min(limits.defaultChatTokens, maxPositions - promptTokens);
