import type { CreateChatCompletion } from "../../contract/chat.ts";
import { type ChatMessage, CreateJob } from "../../contract/job-request.ts";
import { limits } from "../../contract/limits.ts";
import { samplingFields } from "../../contract/sampling.ts";
import { checkModelIsServed, countFittingPrompts, type ServedModel } from "../../served-model.ts";

type Deps = { model: ServedModel; randomSeed: () => number };

const SAMPLING = Object.keys(samplingFields) as (keyof typeof samplingFields)[];

/** The job that answers a chat. What is left out is as with OpenAI: temperature 1, and another answer each time. */
export async function resolveChat(asked: CreateChatCompletion, { model, randomSeed }: Deps): Promise<CreateJob> {
  checkModelIsServed(model, asked.model);
  const messages = asked.messages.map(toChatMessage);
  return CreateJob.parse({
    messages,
    max_tokens: asked.max_completion_tokens ?? asked.max_tokens ?? (await roomFor(messages, model)),
    ...samplingOf(asked),
    temperature: asked.temperature ?? 1,
    seed: asked.seed === null || asked.seed === undefined ? randomSeed() : Math.abs(asked.seed),
    metadata: asked.metadata ?? {},
  });
}

/** What is null is left out, so that it takes its default. */
const samplingOf = (asked: CreateChatCompletion) =>
  Object.fromEntries(SAMPLING.map((field) => [field, asked[field] ?? undefined]));

function toChatMessage({ role, content }: CreateChatCompletion["messages"][number]): ChatMessage {
  return {
    role: role === "developer" ? "system" : role,
    content: typeof content === "string" ? content : content.map(({ text }) => text).join("\n"),
  };
}

/** As much of the context as is left, but memory is set aside for all of it: no more than a long answer takes. */
async function roomFor(messages: ChatMessage[], model: ServedModel): Promise<number> {
  const [promptTokens = 0] = await countFittingPrompts(model, [{ messages }], 1);
  return Math.min(limits.defaultChatTokens, model.maxPositions - promptTokens);
}
