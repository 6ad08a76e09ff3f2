import type { BatchOutputLine } from "../../api/contract/batch-line.ts";
import type { LineCounts, ShardResults } from "../../api/state/batches/batch-results.ts";
import type { Delay } from "../delay.ts";

export type ResultWriter = ReturnType<typeof createResultWriter>;

/** Stores the results of a shard as they come, several at once if they come fast. */
export function createResultWriter(results: ShardResults, { flushMs, delay }: { flushMs: number; delay: Delay }) {
  const failed = new AbortController();
  const ended = new AbortController();
  let waiting: BatchOutputLine[] = [];
  let writing: Promise<void> = Promise.resolve();
  let isDue = false;

  /** After what is being written already. */
  function flush(): Promise<void> {
    writing = writing.then(async () => {
      const lines = waiting;
      waiting = [];
      try {
        if (lines.length > 0) await results.append(lines);
      } catch (error) {
        waiting = [...lines, ...waiting];
        throw error;
      }
    });
    const written = writing;
    // The next flush tries again what this one could not write.
    writing = written.catch(() => undefined);
    return written;
  }

  async function flushSoon(): Promise<void> {
    await delay(flushMs, ended.signal);
    isDue = false;
    await flush();
  }

  return {
    /** Aborted when results cannot be stored: to go on would be to answer for nothing. */
    failed: failed.signal,

    /** What a line with a stored result came to; null for others. */
    of: (line: number): LineCounts | null => results.of(line),
    counts: (): LineCounts => results.counts(),

    add(line: BatchOutputLine): void {
      waiting.push(line);
      if (isDue) return;
      isDue = true;
      flushSoon().catch((error) => failed.abort(error));
    },

    flush,

    async end(): Promise<void> {
      ended.abort();
      await flush();
    },
  };
}
