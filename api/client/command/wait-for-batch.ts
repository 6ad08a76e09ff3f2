import { isBatchOver } from "../../contract/batch.ts";
import type { Batch } from "../../contract/batch-resource.ts";
import { pause } from "../pause.ts";
import { batchProgress } from "./batch-lines.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit-status.ts";
import { interruptible } from "./interruptible.ts";
import type { ProgressLine } from "./progress.ts";

export const BATCH_POLL_MS = 1_000;

/** The batch once it is over, whichever way, with its bar until then. */
export async function waitForBatch(
  { client, terminal, progress }: Context,
  first: Batch,
  bars: (batch: Batch) => ProgressLine[] = batchProgress,
): Promise<Batch> {
  const { id } = first;
  const options = {
    terminal,
    progress,
    what: `batch ${id}`,
    cancel: () => client.batches.cancel(id),
    later: `\`gnomon status ${id} --wait\` comes back to it.`,
  };
  try {
    return await interruptible(options, async (signal) => {
      for (let batch = first; ; batch = await client.batches.get(id)) {
        progress.show(bars(batch));
        if (isBatchOver(batch.status)) return batch;
        await pause(BATCH_POLL_MS, signal);
      }
    });
  } finally {
    progress.stop();
  }
}

/** What a batch that is over says to the shell. */
export function batchExit({ status, request_counts }: Pick<Batch, "status" | "request_counts">): number {
  if (status === "failed") return EXIT.refused;
  return status === "completed" && request_counts.failed === 0 ? EXIT.done : EXIT.failed;
}
