import { createHash } from "node:crypto";
import { createReadStream, openAsBlob } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { LimitFunction } from "p-limit";
import type { Client } from "../client.ts";
import { documentTypeOf } from "../document-type.ts";
import { UnreachableError } from "../errors.ts";
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

/** `first` is the document that is summarised in its place, if any. */
type Begun = { first: string | null; summary: Promise<Summary> };

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
  const firsts = new Map<string, Begun & { path: string }>();
  const { client, step, settings } = deps;
  let turn: Promise<unknown> = Promise.resolve();
  let isOver = false;

  async function summarize(path: string, file: string): Promise<Summary> {
    const type = documentTypeOf(path) ?? "text/plain";
    const document = await client.sendDocument(await openAsBlob(file), type);
    return summarizeDocument(path, document, { client, step, settings });
  }

  /** What stands for the same content, begun by the first document that has it. */
  function begin(content: string, path: string, file: string): Begun {
    const first = firsts.get(content);
    if (first !== undefined) return { first: first.path, summary: first.summary };
    const begun = { path, first: null, summary: summarize(path, file) };
    firsts.set(content, begun);
    return begun;
  }

  /** In the order of the paths, whichever file is read first. Null: the document is empty. */
  function beginInTurn(path: string, file: string): Promise<Begun | null> {
    const before = turn;
    const begun = Promise.all([contentOf(path, file), before]).then(([content]) =>
      content === null ? null : begin(content, path, file),
    );
    turn = Promise.allSettled([before, begun]);
    return begun;
  }

  async function record(path: string): Promise<SummaryRecord> {
    let first: string | null = null;
    let summary: Summary;
    try {
      const begun = await beginInTurn(path, join(folder, path));
      if (begun === null) return describe(path, null, null, "it is empty");
      first = begun.first;
      summary = await begun.summary;
    } catch (error) {
      if (signal.aborted || concernsAll(error)) throw error;
      return describe(path, null, first, reasonOf(error));
    }
    await writeSummary(output, path, summary.text);
    return describe(path, summary, first, null);
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
  error instanceof UnreachableError || (error instanceof ProblemError && OF_ALL.has(error.status));

/** No key, or a service that is full or away for longer than the client waits. */
const OF_ALL = new Set([401, 403, 429, 502, 503, 504, 507]);

function reasonOf(error: unknown): string {
  // What was a body to the service has a name here.
  if (error instanceof ProblemError) return error.reason.replace("`body`", "The text");
  if (!(error instanceof Error)) return String(error);
  if (!("syscall" in error && "code" in error)) return error.message;
  return error.code === "ENOENT" ? "it is not there any more" : `it cannot be read (${error.code})`;
}

/** The same for documents that are the same; null of an empty one. */
async function contentOf(path: string, file: string): Promise<string | null> {
  if ((await stat(file)).size === 0) return null;
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  // The same bytes read as another type are another text.
  return `${documentTypeOf(path)} ${hash.digest("hex")}`;
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
