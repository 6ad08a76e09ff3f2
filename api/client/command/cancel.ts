import { createCommand, type Run } from "./command.ts";
import { EXIT } from "./exit-status.ts";

export const cancelCommand = (run: Run) =>
  createCommand("cancel", "stop jobs; what they have answered is kept")
    .argument("<job...>", "their ids")
    .action((ids, options) =>
      run(options, async ({ client, terminal, json }) => {
        for (const id of ids) {
          const job = await client.cancel(id);
          const how = job.status === "running" ? "is being cancelled" : `is ${job.status}`;
          terminal.print(json ? JSON.stringify(job) : `Job ${id} ${how}.`);
        }
        return EXIT.done;
      }),
    );
