import { counted } from "./counted.ts";
import { AppError } from "./errors.ts";
import { limits } from "./limits.ts";

type Asked = { logprobs: boolean; top_logprobs: number };

/** A result is one object in memory, and log-probabilities could make it far larger than its text. */
export function checkLogprobs(asked: Asked, answers: number, maxTokens: number): void {
  const each = asked.logprobs ? 1 + asked.top_logprobs : 0;
  const total = answers * maxTokens * each;
  if (total <= limits.logprobsPerJob) return;
  const n = (count: number) => count.toLocaleString("en-US");
  const fitting = Math.floor(limits.logprobsPerJob / (answers * each));
  throw new AppError("invalid_request", `${total} log-probabilities`, {
    field: asked.top_logprobs > 0 ? "top_logprobs" : "logprobs",
    detail:
      `${counted(answers, "answer")} of up to ${counted(maxTokens, "token")} with ${counted(each, "log-probability", "log-probabilities")} ` +
      `a token would be ${n(total)}, and a job has at most ${n(limits.logprobsPerJob)}: lower ` +
      `${asked.top_logprobs > 0 ? "`top_logprobs`, or " : ""}max_tokens to ${n(fitting)} or less.`,
  });
}
