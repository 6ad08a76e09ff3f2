import { z } from "zod";
import type { BatchOutputLine } from "../../contract/batch-line.ts";
import { AppError } from "../../contract/errors.ts";
import { Usage } from "../../contract/job.ts";
import { limits } from "../../contract/limits.ts";
import { jsonLines } from "../json-lines.ts";
import type { ObjectStore } from "../object-store.ts";

/** As much of a stored result as is counted. */
const Counted = z.object({
  id: z.string(),
  response: z.object({ body: z.object({ usage: Usage }) }).nullable(),
  error: z.object({ code: z.string() }).nullable(),
});

export type LineCounts = {
  completed: number;
  failed: number;
  promptTokens: number;
  cachedTokens: number;
  completionTokens: number;
};

export const NO_LINES: LineCounts = { completed: 0, failed: 0, promptTokens: 0, cachedTokens: 0, completionTokens: 0 };

export const addCounts = (a: LineCounts, b: LineCounts): LineCounts => ({
  completed: a.completed + b.completed,
  failed: a.failed + b.failed,
  promptTokens: a.promptTokens + b.promptTokens,
  cachedTokens: a.cachedTokens + b.cachedTokens,
  completionTokens: a.completionTokens + b.completionTokens,
});

/** The same each time a line is run, so that it can be found among results. `batch` is `batch_` and a name of its own. */
export const resultId = (batch: string, line: number): string => `batch_req_${batch.replace(/^batch_/, "")}_${line}`;

const lineOf = (id: string): number => Number(id.slice(id.lastIndexOf("_") + 1));

/** A stored result, line by line. */
export type ResultLine = {
  line: number;
  text: string;
  /** Null where it was answered. */
  errorCode: string | null;
  counts: LineCounts;
};

function parseResult(text: string): ResultLine {
  const { id, response, error } = Counted.parse(JSON.parse(text));
  const usage = response?.body.usage;
  return {
    line: lineOf(id),
    text,
    errorCode: error?.code ?? null,
    counts: {
      completed: response === null ? 0 : 1,
      failed: response === null ? 1 : 0,
      promptTokens: usage?.prompt_tokens ?? 0,
      cachedTokens: usage?.prompt_tokens_details.cached_tokens ?? 0,
      completionTokens: usage?.completion_tokens ?? 0,
    },
  };
}

/** Line by line: all of them may be more than a string can hold. */
function* resultLines(body: Uint8Array): Generator<ResultLine> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  for (let start = 0; start < bytes.length; ) {
    const found = bytes.indexOf(BREAK, start);
    const end = found < 0 ? bytes.length : found;
    yield parseResult(bytes.toString("utf8", start, end));
    start = end + 1;
  }
}

/** Bytes [start, end) of stored results, a piece at a time. They only grow: what was there is the same in each piece. */
export async function* resultPieces(
  objects: Pick<ObjectStore, "getRange">,
  key: string,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; ) {
    const piece = await objects.getRange(key, at, Math.min(end, at + limits.resultPieceBytes));
    if (piece === null || piece.length === 0) return;
    yield piece;
    at += piece.length;
  }
}

/** The stored results that lie there, with no more than a piece and a line of them in memory. */
export async function* readResults(...where: Parameters<typeof resultPieces>): AsyncGenerator<ResultLine> {
  for await (const { text } of jsonLines(resultPieces(...where), Number.POSITIVE_INFINITY)) {
    if (text !== null) yield parseResult(text);
  }
}

export type ShardResults = Awaited<ReturnType<typeof openShardResults>>;

const BREAK = 0x0a;
const MAX_CONFLICTS = 16;

/**
 * The results of one shard. They only grow, and only by lines that have none, whoever writes: so each line has one result
 * for ever from the moment it can be read, even where two workers believe that the shard is theirs.
 */
export async function openShardResults(objects: ObjectStore, key: string) {
  let body: Uint8Array = new Uint8Array();
  let etag: string | null = null;
  let counts = NO_LINES;
  const lines = new Map<number, LineCounts>();

  async function read(): Promise<void> {
    const object = await objects.get(key);
    body = object?.body ?? new Uint8Array();
    etag = object?.etag ?? null;
    lines.clear();
    for (const result of resultLines(body)) lines.set(result.line, result.counts);
    counts = [...lines.values()].reduce(addCounts, NO_LINES);
  }
  await read();

  return {
    /** Of those lines that have a result. */
    counts: (): LineCounts => counts,

    /** What a line came to; null while it has no result. */
    of: (line: number): LineCounts | null => lines.get(line) ?? null,

    async append(results: readonly BatchOutputLine[]): Promise<void> {
      for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
        const added = results.filter(({ id }) => !lines.has(lineOf(id)));
        if (added.length === 0) return;
        const grown = Buffer.concat([body, Buffer.from(added.map((result) => `${JSON.stringify(result)}\n`).join(""))]);
        const written =
          etag === null ? await objects.putIfAbsent(key, grown) : await objects.compareAndSwap(key, etag, grown);
        if (written !== null) {
          for (const result of resultLines(grown.subarray(body.length))) {
            lines.set(result.line, result.counts);
            counts = addCounts(counts, result.counts);
          }
          body = grown;
          etag = written;
          return;
        }
        await read();
      }
      throw new AppError("unavailable", `${key} changed ${MAX_CONFLICTS} times under one append`);
    },
  };
}
