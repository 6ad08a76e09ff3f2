import type { BatchError, BatchSize } from "../../api/contract/batch.ts";
import { limits } from "../../api/contract/limits.ts";
import { type JsonLine, jsonLines } from "../../api/state/json-lines.ts";
import type { Prompts } from "../../native/prompt/prompt.ts";
import { createLineFaults, faultOfFile } from "./line-faults.ts";
import { measureLine } from "./measure-line.ts";
import { type Expected, isFault, type LineFault, lineFault, type ParsedLine, parseLine } from "./parse-line.ts";
import { createShardPlan, type Shard } from "./shard-plan.ts";

/** Either none of the lines may run (`shards` is null), or all but those that are not valid do. */
type Validated =
  | { shards: null; errors: BatchError[] }
  | { shards: Shard[]; errors: BatchError[]; lines: number; invalidLines: number; size: BatchSize };

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
  const faults = createLineFaults();
  const firstLineOf = new Map<string, number>();
  let lines = 0;

  /** The line as it stands, or what is wrong with it beside others. */
  function withoutDuplicate(parsed: ParsedLine | LineFault, number: number): ParsedLine | LineFault {
    const { customId } = parsed;
    if (customId === null) return parsed;
    const first = firstLineOf.get(customId);
    if (first !== undefined) return duplicate(number, customId, first);
    firstLineOf.set(customId, number);
    return parsed;
  }

  async function measure(line: JsonLine, parsed: ParsedLine | LineFault): Promise<() => void> {
    const size = isFault(parsed) ? parsed : await measureLine(parsed, prompts, expected.model);
    return () => {
      if (!("error" in size)) return plan.add(line, size);
      faults.add(size);
      // Its shard tells it so.
      plan.add(line, null);
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
    const measured = measure(line, withoutDuplicate(parseLine(line, expected), line.number));
    // Waited for below; until then a failure has nobody to hear of it.
    measured.catch(() => undefined);
    measuring.push(measured);
    if (measuring.length < AT_ONCE) continue;
    await settle(measuring);
    measuring = [];
  }
  await settle(measuring);

  if (lines === 0) return none(faultOfFile("empty_file", "The file has no lines: give one request a line."));
  if (lines > limits.batchLines) {
    const most = limits.batchLines.toLocaleString("en-US");
    return none(faultOfFile("too_many_tasks", `The file has more than ${most} lines, the most of a batch: divide it.`));
  }
  const { ofFile, ofLines } = faults.counts();
  if (ofFile > 0) return none(...faults.list());
  return { shards: plan.shards(), errors: faults.list(), lines, invalidLines: ofLines, size: plan.size() };
}

const none = (...errors: BatchError[]): Validated => ({ shards: null, errors });

const duplicate = (number: number, customId: string, first: number) =>
  lineFault(
    { number, customId: null },
    "duplicate_custom_id",
    `\`custom_id\` "${customId}" is that of line ${first} too.`,
    "custom_id",
  );
