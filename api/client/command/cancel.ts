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
          const [resource, line] = isBatchId(id)
            ? await client.batches.cancel(id).then((batch) => [batch, batchLine(batch)])
            : await client.cancel(id).then((job) => [job, `Job ${id} ${howItIs(job)}.`]);
          terminal.print(json ? JSON.stringify(resource) : String(line));
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
