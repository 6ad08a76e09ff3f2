import { chatMessages } from "../../api/contract/chat-job.ts";
import { AppError } from "../../api/contract/errors.ts";
import type { Prompts } from "../../native/prompt/prompt.ts";
import { lineTokens } from "./line-request.ts";
import { type LineFault, lineFault, type ParsedLine } from "./parse-line.ts";

export type LineSize = { promptTokens: number; maxTokens: number };

/** What a line takes: its prompt exactly, its answer at most. Or why the model cannot answer it. */
export async function measureLine(
  line: ParsedLine,
  prompts: Pick<Prompts, "count" | "maxPositions">,
  model: string,
): Promise<LineSize | LineFault> {
  const promptTokens = await prompts.count({ messages: chatMessages(line.asked) });
  try {
    return { promptTokens, maxTokens: lineTokens(line, promptTokens, { model, maxPositions: prompts.maxPositions }) };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const message = error.detail ?? error.message;
    return error.code === "context_overflow"
      ? lineFault(line, "context_overflow", message, "body.messages")
      : lineFault(line, "invalid_request", message, `body.${error.field}`);
  }
}
