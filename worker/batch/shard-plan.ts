import type { BatchSize } from "../../api/contract/batch.ts";
import { limits } from "../../api/contract/limits.ts";
import type { JsonLine } from "../../api/state/json-lines.ts";
import type { LineSize } from "./measure-line.ts";

/** A piece of the input that runs as a job of its own. */
export type Shard = {
  firstLine: number;
  startByte: number;
  endByte: number;
  /** Exact, of each line; 0 of one that is not valid. */
  promptTokens: number[];
  /** Of the answers together, at most. */
  completionTokens: number;
};

type Measured = { number: number; start: number; end: number; promptTokens: number; maxTokens: number };

const NOTHING: LineSize = { promptTokens: 0, maxTokens: 0 };

/**
 * Divides the lines of a batch: the same lines are divided the same way each time. Shards are small, as a worker takes one
 * at a time, and their number is bounded, as each is a job to be kept.
 */
export function createShardPlan() {
  const lines: Measured[] = [];
  const size: BatchSize = { prompt_tokens: 0, completion_tokens: 0 };

  return {
    /** `lineSize` is null of a line that is not valid: it belongs to a shard, and takes nothing. */
    add({ number, start, end }: JsonLine, lineSize: LineSize | null): void {
      const { promptTokens, maxTokens } = lineSize ?? NOTHING;
      lines.push({ number, start, end, promptTokens, maxTokens });
      size.prompt_tokens += promptTokens;
      size.completion_tokens += maxTokens;
    },

    size: (): BatchSize => ({ ...size }),

    shards(): Shard[] {
      const most = Math.max(limits.shardLines, Math.ceil(lines.length / limits.batchShards));
      // Half of the shards may end by their tokens before they have all their lines.
      const mostTokens = Math.max(limits.shardTokens, Math.ceil((2 * size.prompt_tokens) / limits.batchShards));
      const shards: Shard[] = [];
      let tokens = 0;
      for (const { number, start, end, promptTokens, maxTokens } of lines) {
        const last = shards.at(-1);
        if (last === undefined || last.promptTokens.length >= most || tokens + promptTokens > mostTokens) {
          tokens = promptTokens;
          shards.push({
            firstLine: number,
            startByte: start,
            endByte: end,
            promptTokens: [promptTokens],
            completionTokens: maxTokens,
          });
          continue;
        }
        tokens += promptTokens;
        last.endByte = end;
        last.promptTokens.push(promptTokens);
        last.completionTokens += maxTokens;
      }
      return shards;
    },
  };
}
