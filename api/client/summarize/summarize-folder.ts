import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { LimitFunction } from "p-limit";
import type { Client } from "../client.ts";
import { Interrupted, UnreachableError } from "../command/errors.ts";
import { documentTypeOf } from "../command/source-file.ts";
import { ProblemError } from "../problem-error.ts";
import { type SummaryRecord, writeSummary } from "./outputs.ts";
import type { Step } from "./step.ts";
import { type Settings, type Summary, summarizeDocument } from "./summarize-document.ts";

type Options = {
  folder: string;
  output: string;
  paths: readonly string[];
  settings: Settings;
  client: Client;
  step: Step;
  /** Documents at once. */
  limit: LimitFunction;
  signal: AbortSignal;
  onRecord: (record: SummaryRecord) => void;
};

/**
 * Summarises every document, and writes each summary as soon as it is there. What is wrong with one is in its record;
 * rejects only with what would be wrong with all of them.
 */
export async function summarizeFolder({
  folder,
  output,
  paths,
  limit,
  signal,
  onRecord,
  ...deps
}: Options): Promise<void> {
  const firsts = new Map<string, { path: string; summary: Promise<Summary> }>();
  const { client, step, settings } = deps;
  let isOver = false;

  async function summarize(path: string, file: string): Promise<Summary> {
    const type = documentTypeOf(path) ?? "text/plain";
    const content = Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>;
    const document = await client.sendDocument(content, type);
    return summarizeDocument(path, document, { client, step, settings });
  }

  async function record(path: string): Promise<SummaryRecord> {
    const file = join(folder, path);
    if ((await stat(file)).size === 0) return describe(path, null, null, "it is empty");
    // The same bytes read as another type are another text.
    const content = `${documentTypeOf(path)} ${await hashOf(file)}`;
    const first = firsts.get(content);
    const summarizing = first?.summary ?? summarize(path, file);
    if (first === undefined) firsts.set(content, { path, summary: summarizing });
    try {
      const summary = await summarizing;
      await writeSummary(output, path, summary.text);
      return describe(path, summary, first?.path ?? null, null);
    } catch (error) {
      if (concernsAll(error)) throw error;
      return describe(path, null, first?.path ?? null, error instanceof Error ? error.message : String(error));
    }
  }

  async function recordUnlessOver(path: string): Promise<void> {
    signal.throwIfAborted();
    if (!isOver) onRecord(await record(path));
  }

  try {
    await Promise.all(paths.map((path) => limit(() => recordUnlessOver(path))));
  } finally {
    // What still waits for its turn is not begun.
    isOver = true;
  }
}

/** No other document would fare better. */
const concernsAll = (error: unknown): boolean =>
  error instanceof Interrupted ||
  error instanceof UnreachableError ||
  (error instanceof ProblemError && (error.status === 401 || error.status === 403 || error.status === 429));

async function hashOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

function describe(
  path: string,
  summary: Summary | null,
  duplicateOf: string | null,
  error: string | null,
): SummaryRecord {
  const answers = summary?.answers ?? [];
  const sum = (of: (answer: (typeof answers)[number]) => number) =>
    // What was done for the first is not done again.
    duplicateOf === null ? answers.reduce((total, answer) => total + of(answer), 0) : 0;
  return {
    path,
    status: error === null ? "succeeded" : "failed",
    summary: summary?.text ?? null,
    duplicate_of: duplicateOf,
    sections: summary?.sections ?? 0,
    prompt_tokens: sum((answer) => answer.prompt_tokens),
    cached_tokens: sum((answer) => answer.cached_tokens),
    completion_tokens: sum((answer) => answer.completion_tokens),
    truncated: answers.some(({ finish_reason }) => finish_reason === "length"),
    jobs: answers.map(({ job }) => job),
    error,
  };
}
