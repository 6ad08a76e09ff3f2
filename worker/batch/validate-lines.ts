import type { BatchError, BatchErrorCode, BatchSize } from "../../api/contract/batch.ts";
import { chatMessages } from "../../api/contract/chat-job.ts";
import { AppError } from "../../api/contract/errors.ts";
import { limits } from "../../api/contract/limits.ts";
import { type JsonLine, jsonLines } from "../../api/state/json-lines.ts";
import type { Prompts } from "../run-job.ts";
import { lineTokens } from "./line-request.ts";
import { type Expected, type ParsedLine, parseLine } from "./parse-line.ts";
import { createShardPlan, type Shard } from "./shard-plan.ts";

type Validated = { errors: BatchError[] } | { errors: null; lines: number; shards: Shard[]; size: BatchSize };

type Deps = {
  prompts: Pick<Prompts, "count" | "maxPositions">;
  signal: AbortSignal;
  /** Told now and then how many tokens the prompts have so far, and how many lines there were. */
  onProgress: (promptTokens: number, lines: number) => void;
};

/** Lines that are tokenised at once: the tokenizer has threads of its own. */
const AT_ONCE = 8;

/** Reads the whole input before anything of it runs, with no more than a few lines in memory. */
export async function validateLines(
  input: AsyncIterable<Uint8Array>,
  expected: Expected,
  deps: Deps,
): Promise<Validated> {
  const { prompts, signal, onProgress } = deps;
  const plan = createShardPlan();
  const firstLineOf = new Map<string, number>();
  const errors: BatchError[] = [];
  let wrongLines = 0;
  let lines = 0;

  const note = (error: BatchError): void => {
    wrongLines += 1;
    if (errors.length < limits.batchErrors) errors.push(error);
  };

  async function measure(line: JsonLine, parsed: ParsedLine): Promise<() => void> {
    const promptTokens = await prompts.count({ messages: chatMessages(parsed.asked) });
    return () => {
      try {
        const { maxPositions } = prompts;
        plan.add(line, promptTokens, lineTokens(parsed, promptTokens, { model: expected.model, maxPositions }));
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        const code: BatchErrorCode = error.code === "context_overflow" ? "context_overflow" : "invalid_request";
        const param = code === "context_overflow" ? "body.messages" : `body.${error.field}`;
        note({ code, line: line.number, message: `Line ${line.number}: ${error.detail}`, param });
      }
    };
  }

  /** In the order of the lines, whichever is tokenised first. */
  async function settle(measuring: Promise<() => void>[]): Promise<void> {
    for (const done of await Promise.all(measuring)) done();
    onProgress(plan.size().prompt_tokens, lines);
    signal.throwIfAborted();
  }

  let measuring: Promise<() => void>[] = [];
  for await (const line of jsonLines(input, limits.requestBodyBytes)) {
    lines += 1;
    if (lines > limits.batchLines) break;
    const parsed = parseLine(line, expected);
    if ("code" in parsed) {
      note(parsed);
      continue;
    }
    const first = firstLineOf.get(parsed.customId);
    if (first !== undefined) {
      note(duplicate(parsed, first));
      continue;
    }
    firstLineOf.set(parsed.customId, line.number);
    const measured = measure(line, parsed);
    // Waited for below; until then a failure has nobody to hear of it.
    measured.catch(() => undefined);
    measuring.push(measured);
    if (measuring.length < AT_ONCE) continue;
    await settle(measuring);
    measuring = [];
  }
  await settle(measuring);
  errors.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));

  if (lines === 0) return { errors: [ofFile("empty_file", "The file has no lines: give one request a line.")] };
  if (lines > limits.batchLines) {
    const most = limits.batchLines.toLocaleString("en-US");
    return {
      errors: [ofFile("too_many_tasks", `The file has more than ${most} lines, the most of a batch: divide it.`)],
    };
  }
  if (wrongLines > errors.length) {
    errors.push(ofFile("more_errors", `${wrongLines - errors.length} more lines are not valid.`));
  }
  return wrongLines > 0 ? { errors } : { errors: null, lines, shards: plan.shards(), size: plan.size() };
}

const ofFile = (code: BatchErrorCode, message: string): BatchError => ({ code, line: null, message, param: null });

const duplicate = ({ number, customId }: ParsedLine, first: number): BatchError => ({
  code: "duplicate_custom_id",
  line: number,
  message: `Line ${number}: \`custom_id\` "${customId}" is that of line ${first} too.`,
  param: "custom_id",
});
