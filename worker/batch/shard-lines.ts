import type { BatchError, BatchState } from "../../api/contract/batch.ts";
import { AppError } from "../../api/contract/errors.ts";
import type { JobRequest } from "../../api/contract/job-request.ts";
import { limits } from "../../api/contract/limits.ts";
import type { BatchStore } from "../../api/state/batches/batch-store.ts";
import { jsonLines } from "../../api/state/json-lines.ts";
import type { Prompts } from "../../native/prompt/prompt.ts";
import { lineRequest } from "./line-request.ts";
import { measureLine } from "./measure-line.ts";
import { isFault, type LineFault, parseLine } from "./parse-line.ts";

export type ShardRequest = JobRequest & { input: Extract<JobRequest["input"], { kind: "shard" }> };

/** A line of a shard. `index` is its place in it. */
export type ShardLine = { index: number; number: number; customId: string };
/** One with what it needs to be run. */
export type Task = ShardLine & { request: JobRequest };
/** One that is not valid. */
export type Refused = ShardLine & { error: BatchError };

type Deps = { batches: BatchStore; prompts: Pick<Prompts, "count" | "maxPositions"> };

/** The lines of a shard, as the validation found them. */
export async function* readShardLines(
  batch: BatchState,
  { model, prompt_tokens, input }: ShardRequest,
  { batches, prompts }: Deps,
): AsyncGenerator<Task | Refused> {
  const { start_byte, end_byte, first_line } = input;
  const { maxPositions } = prompts;
  const bytes = await batches.readInputRange(batch, start_byte, end_byte);
  let index = -1;
  for await (const line of jsonLines([bytes], limits.requestBodyBytes, { line: first_line, byte: start_byte })) {
    index += 1;
    const parsed = parseLine(line, batch);
    if (isFault(parsed)) {
      yield refusal(index, line.number, parsed);
      continue;
    }
    const promptTokens = prompt_tokens[index] ?? 0;
    // Of a line that the model cannot answer the validation has counted none.
    const size = promptTokens > 0 ? { promptTokens } : await measureLine(parsed, prompts, model);
    if ("error" in size) {
      yield refusal(index, line.number, size);
      continue;
    }
    const request = lineRequest(parsed, size.promptTokens, batch.id, { model, maxPositions });
    yield { index, number: line.number, customId: parsed.customId, request };
  }
}

function refusal(index: number, number: number, { customId, error }: LineFault): Refused {
  // A batch with such a line does not get as far as its shards.
  if (customId === null) throw new AppError("internal", `a validated line is not valid: ${error.message}`);
  return { index, number, customId, error };
}
