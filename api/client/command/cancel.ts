import type { Job } from "../../contract/job-resource.ts";
import { batchLine, isBatchId } from "./batch-lines.ts";
import { createCommand, type Run } from "./command.ts";
import { forEach } from "./for-each.ts";
import { parseIds } from "./parse-option.ts";

export const cancelCommand = (run: Run) =>
  createCommand("cancel", "stop jobs or batches; what they have answered is kept")
    .argument("<id...>", "of jobs or batches", parseIds)
    .action((ids, options) =>
      run(options, (context) => {
        const { client, terminal, json } = context;
        return forEach(context, ids, async (id) => {
          if (isBatchId(id)) {
            const batch = await client.batches.cancel(id);
            terminal.print(json ? JSON.stringify(batch) : batchLine(batch));
          } else {
            const job = await client.cancel(id);
            terminal.print(json ? JSON.stringify(job) : `Job ${id} ${howItIs(job)}.`);
          }
        });
      }),
    );

function howItIs({ status }: Pick<Job, "status">): string {
  switch (status) {
    case "cancelled":
      return "is cancelled";
    case "succeeded":
    case "failed":
    case "expired":
      return `had ${status} already`;
    default:
      return "is being cancelled";
  }
}
