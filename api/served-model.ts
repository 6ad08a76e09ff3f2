import { AppError } from "./contract/errors.ts";

/** The one model this service serves, as far as the api knows it: its name, its limit and its tokenizer. */
export type ServedModel = {
  id: string;
  /** Prompt and answer together, in tokens. */
  maxPositions: number;
  countPromptTokens(prompt: { document: string; question: string }): Promise<number>;
};

export function checkModelIsServed(model: ServedModel, asked: string | undefined): void {
  if (asked === undefined || asked === model.id) return;
  throw new AppError("model_not_found", `model ${asked} is not served`, {
    field: "model",
    detail: `There is no model \`${asked}\` here: use \`${model.id}\`, or leave \`model\` out.`,
  });
}

/**
 * Tokens of the prompt of each question. Throws context_overflow with every exact count if any of them
 * leaves no room for `maxTokens` more. Of a document of more than twice the limit one count says it for all.
 */
export async function countFittingPrompts(
  model: ServedModel,
  document: string,
  questions: readonly string[],
  maxTokens: number,
): Promise<number[]> {
  const counts: number[] = [];
  for (const question of questions) {
    const count = await model.countPromptTokens({ document, question });
    counts.push(count);
    // No tokenizer makes more tokens than bytes, and a document of megabytes takes seconds to count.
    if (count - Buffer.byteLength(question) > 2 * model.maxPositions) break;
  }
  const longest = Math.max(...counts);
  if (longest + maxTokens <= model.maxPositions) return counts;

  const excess = longest + maxTokens - model.maxPositions;
  const n = (tokens: number) => tokens.toLocaleString("en-US");
  const lowered = maxTokens - excess;
  throw new AppError("context_overflow", `longest prompt is ${longest} tokens of ${model.maxPositions}`, {
    field: lowered >= 1 ? "max_tokens" : "document",
    detail:
      `The longest prompt is ${n(longest)} tokens, and with max_tokens ${n(maxTokens)} makes ${n(longest + maxTokens)}; ` +
      `${model.id} takes ${n(model.maxPositions)}. Shorten the document by ${n(excess)} tokens` +
      (lowered >= 1 ? `, or set max_tokens to ${n(lowered)} or less.` : "."),
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
