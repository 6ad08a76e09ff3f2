import { AppError } from "../../contract/errors.ts";
import type { CreateJob } from "../../contract/job-request.ts";

type Asked = Pick<CreateJob, "max_tokens" | "max_total_tokens">;

/**
 * `max_tokens` of each answer under the job's cap, shared out evenly: so the cap holds by construction, and what is
 * answered does not depend on which answer is done first. Throws budget_exceeded if that leaves an answer no token.
 */
export function capTokens({ max_tokens, max_total_tokens }: Asked, promptTokens: readonly number[]): number {
  if (max_total_tokens === undefined) return max_tokens;
  const answers = promptTokens.length;
  const prompt = promptTokens.reduce((sum, tokens) => sum + tokens, 0);
  const each = Math.min(max_tokens, Math.floor((max_total_tokens - prompt) / answers));
  if (each >= 1) return each;
  throw new AppError("budget_exceeded", `${prompt} prompt tokens of ${max_total_tokens}`, {
    field: "max_total_tokens",
    detail:
      `The prompts take ${prompt.toLocaleString("en-US")} tokens, so the job needs a max_total_tokens of ` +
      `${(prompt + answers).toLocaleString("en-US")} at least, for one token of each answer.`,
    extra: { prompt_tokens: prompt, needed_tokens: prompt + answers },
  });
}
