import { createHash } from "node:crypto";
import { askedTokens, chatMessages, chatSampling, roomForAnswer } from "../../api/contract/chat-job.ts";
import { counted } from "../../api/contract/counted.ts";
import { AppError } from "../../api/contract/errors.ts";
import type { JobRequest } from "../../api/contract/job-request.ts";
import { checkLogprobs } from "../../api/contract/logprobs-limit.ts";
import type { ParsedLine } from "./parse-line.ts";

type Model = { model: string; maxPositions: number };

/** Of the answer to a line whose prompt has so many tokens. Throws AppError for what cannot fit, in words for its client. */
export function lineTokens({ asked }: ParsedLine, promptTokens: number, { model, maxPositions }: Model): number {
  const given = askedTokens(asked);
  const maxTokens = given ?? Math.max(1, roomForAnswer(promptTokens, maxPositions));
  const excess = promptTokens + maxTokens - maxPositions;
  const n = (tokens: number) => tokens.toLocaleString("en-US");
  if (excess > 0) {
    throw new AppError("context_overflow", `${promptTokens} and ${maxTokens} tokens of ${maxPositions}`, {
      detail:
        `over by ${promptTokens > 2 * maxPositions ? "about " : ""}${counted(excess, "token")}: its prompt has ${n(promptTokens)}, its answer may have ${n(maxTokens)}, and ` +
        `${model} takes ${n(maxPositions)}.`,
    });
  }
  checkLogprobs({ logprobs: asked.logprobs === true, top_logprobs: asked.top_logprobs ?? 0 }, 1, maxTokens);
  return maxTokens;
}

/** The job that a line would be on its own. What it draws from is its own too, and the same however often it is run. */
export function lineRequest(line: ParsedLine, promptTokens: number, batch: string, model: Model): JobRequest {
  const seed = createHash("sha256").update(`${batch}/${line.number}`).digest().readUInt32BE(0) >>> 1;
  return {
    model: model.model,
    input: { kind: "messages", document_ids: [], messages: chatMessages(line.asked) },
    prompt_tokens: [promptTokens],
    max_tokens: lineTokens(line, promptTokens, model),
    ...chatSampling(line.asked, seed),
    priority: "low",
    deliver_by_ms: null,
    ttl_ms: null,
    metadata: {},
    webhook: null,
    price: null,
    quote_id: null,
    retry_of: null,
    idempotency_hash: null,
  };
}
