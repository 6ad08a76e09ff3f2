import { counted } from "./contract/counted.ts";
import { AppError } from "./contract/errors.ts";
import type { Prompt } from "./contract/prompts.ts";

/** The one model this service serves, as far as the api knows it: its name, its limit and its tokenizer. */
export type ServedModel = {
  id: string;
  /** Of its files. */
  createdMs: number;
  /** Prompt and answer together, in tokens. */
  maxPositions: number;
  /** Of more than twice the limit only about so many. */
  countPromptTokens(prompt: Prompt): Promise<number>;
};

export function checkModelIsServed(model: ServedModel, asked: string | undefined): void {
  if (asked === undefined || asked === model.id) return;
  throw new AppError("model_not_found", `model ${asked} is not served`, {
    field: "model",
    detail: `There is no model \`${asked}\` here: use \`${model.id}\`, or leave \`model\` out.`,
  });
}

/**
 * Tokens of each prompt. Throws context_overflow with every exact count if any of them leaves no room for
 * `maxTokens` more. Of a document of more than twice the limit one count says it for all.
 */
export async function countFittingPrompts(
  model: ServedModel,
  prompts: readonly Prompt[],
  maxTokens: number,
): Promise<number[]> {
  const counts: number[] = [];
  for (const prompt of prompts) {
    const count = await model.countPromptTokens(prompt);
    counts.push(count);
    // No tokenizer makes more tokens than bytes, and a document of megabytes takes seconds to count.
    if ("question" in prompt && count - Buffer.byteLength(prompt.question) > 2 * model.maxPositions) break;
  }
  const longest = Math.max(...counts);
  if (longest + maxTokens <= model.maxPositions) return counts;

  const excess = longest + maxTokens - model.maxPositions;
  const n = (tokens: number) => tokens.toLocaleString("en-US");
  const lowered = maxTokens - excess;
  const remedies = [
    ...(excess < longest ? [`shorten the ${fieldOf(prompts[0])} by ${counted(excess, "token")}`] : []),
    ...(lowered >= 1 ? [`set max_tokens to ${n(lowered)} or less`] : []),
  ];
  throw new AppError("context_overflow", `longest prompt is ${longest} tokens of ${model.maxPositions}`, {
    field: lowered >= 1 ? "max_tokens" : fieldOf(prompts[0]),
    detail:
      `The longest prompt is ${longest > 2 * model.maxPositions ? "about " : ""}${counted(longest, "token")}, and with max_tokens ${n(maxTokens)} makes ${n(longest + maxTokens)}; ` +
      `${model.id} takes ${n(model.maxPositions)}: ${remedies.join(", or ") || "lower both"}.`,
    extra: {
      prompt_tokens: longest,
      max_tokens: maxTokens,
      limit_tokens: model.maxPositions,
      questions: counts.map((promptTokens, index) => ({
        index,
        prompt_tokens: promptTokens,
        excess_tokens: Math.max(0, promptTokens + maxTokens - model.maxPositions),
      })),
    },
  });
}

/** The field of a request that makes a prompt long. */
function fieldOf(prompt: Prompt | undefined): "document" | "messages" | "prompt" {
  if (prompt === undefined || "question" in prompt) return "document";
  return "messages" in prompt ? "messages" : "prompt";
}
