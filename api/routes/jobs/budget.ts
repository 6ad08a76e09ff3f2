import { counted } from "../../contract/counted.ts";
import { AppError } from "../../contract/errors.ts";
import type { Price } from "../../contract/job.ts";
import type { CreateJob } from "../../contract/job-request.ts";
import type { Quote } from "../../contract/quote.ts";

type Asked = Pick<CreateJob, "max_tokens" | "max_total_tokens" | "max_cost">;

/**
 * `max_tokens` of each answer under every cap of the job, shared out evenly: so the caps hold by construction, and what
 * is answered does not depend on which answer is done first. Throws budget_exceeded if that leaves an answer no token.
 */
export function capTokens(
  asked: Asked,
  promptTokens: readonly number[],
  price: Price | null,
  quote: Quote | null,
): number {
  const prompt = promptTokens.reduce((sum, tokens) => sum + tokens, 0);
  const caps = [
    { field: "max_total_tokens", total: asked.max_total_tokens },
    { field: "max_cost", total: asked.max_cost === undefined ? undefined : affordable(asked.max_cost, prompt, price) },
    { field: "quote_id", total: quote?.max_total_tokens },
  ];
  let each = asked.max_tokens;
  for (const { field, total } of caps) {
    if (total === undefined) continue;
    each = Math.min(each, Math.floor((total - prompt) / promptTokens.length));
    if (each < 1) throw tooTight(field, total, prompt, promptTokens.length);
  }
  return each;
}

/** Prompt and answer tokens that a sum pays for. */
function affordable(sum: number, prompt: number, price: Price | null): number {
  if (price === null) {
    throw new AppError("invalid_request", "max_cost without prices", {
      field: "max_cost",
      detail: "`max_cost` cannot be kept, as this service has no prices: use `max_total_tokens`.",
    });
  }
  const left = sum * 1e6 - prompt * price.prompt;
  if (left < 0) return 0;
  return price.completion === 0 ? Number.POSITIVE_INFINITY : prompt + Math.floor(left / price.completion);
}

function tooTight(field: string, total: number, prompt: number, answers: number): AppError {
  const n = (tokens: number) => tokens.toLocaleString("en-US");
  return new AppError("budget_exceeded", `${prompt} prompt tokens under a cap of ${total} by ${field}`, {
    field,
    detail:
      `The prompts take ${counted(prompt, "token")}, so with one token of each answer the job takes ${n(prompt + answers)}; ` +
      `\`${field}\` allows ${n(total)}. Raise it, or shorten the prompt.`,
    extra: { prompt_tokens: prompt, needed_tokens: prompt + answers, allowed_tokens: total },
  });
}
