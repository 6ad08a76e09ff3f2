import type { BatchState, BatchUsage } from "../../contract/batch.ts";
import { UNFINISHED_CODES } from "../../contract/batch-line.ts";
import type { FileStore } from "../files/file-store.ts";
import type { ObjectStore } from "../object-store.ts";
import type { BatchParts } from "./batch-parts.ts";
import { addCounts, NO_LINES, type ResultLine, readResults } from "./batch-results.ts";

type Deps = { objects: ObjectStore; parts: BatchParts; files: FileStore };

const PIECE_CHARACTERS = 65_536;

type Summary = Pick<BatchState, "output_file_id" | "error_file_id" | "request_counts" | "usage">;

/** The results of a batch as its two files, without more than a piece of them in memory. */
export function createBatchFiles({ objects, parts, files }: Deps) {
  async function* allResults(batch: BatchState): AsyncGenerator<ResultLine> {
    for (const { key, bytes } of await parts.listResults(batch)) yield* readResults(objects, key, 0, bytes);
  }

  async function writeFile(batch: BatchState, kind: "output" | "error", lines: AsyncIterable<ResultLine>) {
    const { tenant, output_expires_seconds: expirySeconds } = batch;
    // Named after the batch: if two processes end it at once, they write the same file.
    const id = `file-${batch.id.replace(/^batch_/, "")}-${kind}`;
    const { bytes } = await files.write(tenant, id, encoded(lines));
    if (bytes === 0) {
      await files.discard(tenant, id);
      return null;
    }
    const filename = `${batch.id}_${kind}.jsonl`;
    await files.publish(tenant, { id, filename, purpose: "batch_output", bytes, expirySeconds });
    return id;
  }

  return {
    async finishedLines(batch: BatchState): Promise<Set<number>> {
      const lines = new Set<number>();
      for await (const { line } of allResults(batch)) lines.add(line);
      return lines;
    },

    /** Both files, each with its part of the results in their order, and what they add up to. */
    async write(batch: BatchState): Promise<{ summary: Summary; hasExpired: boolean }> {
      let counts = NO_LINES;
      let hasExpired = false;

      async function* answers() {
        for await (const result of allResults(batch)) {
          counts = addCounts(counts, result.counts);
          hasExpired ||= result.errorCode === UNFINISHED_CODES.expired;
          if (result.errorCode === null) yield result;
        }
      }
      async function* errors() {
        for await (const result of allResults(batch)) if (result.errorCode !== null) yield result;
      }
      const output_file_id = await writeFile(batch, "output", answers());
      const error_file_id = counts.failed === 0 ? null : await writeFile(batch, "error", errors());
      return {
        summary: {
          output_file_id,
          error_file_id,
          request_counts: { total: batch.lines, completed: counts.completed, failed: counts.failed },
          usage: batchUsage(counts),
        },
        hasExpired,
      };
    },
  };
}

const batchUsage = ({ promptTokens, cachedTokens, completionTokens }: typeof NO_LINES): BatchUsage => ({
  input_tokens: promptTokens,
  input_tokens_details: { cached_tokens: cachedTokens },
  output_tokens: completionTokens,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: promptTokens + completionTokens,
});

/** Some lines at a time: each piece is written on its own. */
async function* encoded(lines: AsyncIterable<ResultLine>): AsyncGenerator<Uint8Array> {
  let piece: string[] = [];
  let characters = 0;
  for await (const { text } of lines) {
    piece.push(text, "\n");
    characters += text.length;
    if (characters < PIECE_CHARACTERS) continue;
    yield Buffer.from(piece.join(""));
    piece = [];
    characters = 0;
  }
  if (piece.length > 0) yield Buffer.from(piece.join(""));
}
