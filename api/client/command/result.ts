import { once } from "node:events";
import { isBatchId } from "./batch-lines.ts";
import { createCommand, type Run } from "./command.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit-status.ts";
import { parseId } from "./parse-option.ts";
import { printAnswers } from "./print-answers.ts";
import { batchExit, waitForBatch } from "./wait-for-batch.ts";
import { assertSucceeded, waitForJob } from "./wait-for-job.ts";

export const resultCommand = (run: Run) =>
  createCommand("result", "print the answers of a job, or the lines of a batch that have a result")
    .argument("<id>", "of a job or a batch", parseId)
    .option("--wait", "until it is over")
    .action((id, options) =>
      run(options, async (context) => {
        const wait = options.wait ?? false;
        return isBatchId(id) ? printLines(context, id, wait) : printJob(context, id, wait);
      }),
    );

async function printJob(context: Context, id: string, wait: boolean): Promise<number> {
  const { client } = context;
  if (wait) assertSucceeded(await waitForJob(context, await client.get(id)));
  printAnswers(context, await client.result({ id }));
  return EXIT.done;
}

/** As they stand in its output and error files, with or without --json. */
async function printLines(context: Context, id: string, wait: boolean): Promise<number> {
  const { client, terminal } = context;
  const over = wait ? await waitForBatch(context, await client.batches.get(id)) : null;
  const { lines } = await client.batches.results(id, "");
  for await (const chunk of lines ?? []) {
    if (!terminal.out.write(chunk)) await once(terminal.out, "drain");
  }
  return over === null ? EXIT.done : batchExit(over);
}
