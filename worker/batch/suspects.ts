import type { BatchState } from "../../api/contract/batch.ts";
import { counted } from "../../api/contract/counted.ts";
import { limits } from "../../api/contract/limits.ts";
import type { BatchStore } from "../../api/state/batches/batch-store.ts";
import type { LineAnswers } from "./answer-line.ts";
import type { ResultWriter } from "./result-writer.ts";
import type { Task } from "./shard-lines.ts";

type Shard = {
  batch: BatchState;
  shard: number;
  batches: Pick<BatchStore, "readTrying" | "writeTrying">;
  lines: LineAnswers;
  out: ResultWriter;
  /** Aborted when the attempt ends for a reason that is not the line's. */
  signal: AbortSignal;
};

/**
 * Answers one line with nothing beside it, as it may be what ended the worker before, with a note that tells the next
 * attempt if this one does not come back. A line that keeps ending workers is failed.
 */
export async function answerAlone(task: Task, { batch, shard, batches, lines, out, signal }: Shard): Promise<void> {
  const { number } = task;
  const noted = await batches.readTrying(batch, shard);
  const begun = noted?.line === number ? noted.begun : 0;
  if (begun >= limits.lineDeaths) {
    lines.fail(
      task,
      "attempts_exhausted",
      `Gave up on this line after ${counted(begun, "attempt")} that ended its worker.`,
    );
    return out.flush();
  }
  await batches.writeTrying(batch, shard, { line: number, begun: begun + 1 });
  try {
    await lines.answer(task);
    await out.flush();
  } catch (error) {
    // A worker that stops, or lost its lease, has not died of it.
    if (signal.aborted) await batches.writeTrying(batch, shard, { line: number, begun });
    throw error;
  }
}
