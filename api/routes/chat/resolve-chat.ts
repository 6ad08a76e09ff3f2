import type { CreateChatCompletion } from "../../contract/chat.ts";
import { askedTokens, chatMessages, chatSampling, roomForAnswer } from "../../contract/chat-job.ts";
import { CreateJob } from "../../contract/job-request.ts";
import { checkModelIsServed, countFittingPrompts, type ServedModel } from "../../served-model.ts";

type Deps = { model: ServedModel; randomSeed: () => number };

/** The job that answers a chat. */
export async function resolveChat(asked: CreateChatCompletion, { model, randomSeed }: Deps): Promise<CreateJob> {
  checkModelIsServed(model, asked.model);
  const messages = chatMessages(asked);
  let maxTokens = askedTokens(asked);
  if (maxTokens === null) {
    const [promptTokens = 0] = await countFittingPrompts(model, [{ messages }], 1);
    maxTokens = roomForAnswer(promptTokens, model.maxPositions);
  }
  return CreateJob.parse({
    messages,
    max_tokens: maxTokens,
    ...chatSampling(asked, randomSeed()),
    metadata: asked.metadata ?? {},
  });
}
