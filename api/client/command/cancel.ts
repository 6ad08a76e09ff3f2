import { batchLine, isBatchId } from "./batch-lines.ts";
import { createCommand, type Run } from "./command.ts";
import { EXIT } from "./exit-status.ts";

export const cancelCommand = (run: Run) =>
  createCommand("cancel", "stop jobs or batches; what they have answered is kept")
    .argument("<id...>", "of jobs or batches")
    .action((ids, options) =>
      run(options, async ({ client, terminal, json }) => {
        for (const id of ids) {
          if (isBatchId(id)) {
            const batch = await client.batches.cancel(id);
            terminal.print(json ? JSON.stringify(batch) : batchLine(batch));
            continue;
          }
          const job = await client.cancel(id);
          const how = job.status === "running" ? "is being cancelled" : `is ${job.status}`;
          terminal.print(json ? JSON.stringify(job) : `Job ${id} ${how}.`);
        }
        return EXIT.done;
      }),
    );
