import { createCommand, type Run } from "./command.ts";
import { EXIT } from "./exit-status.ts";
import { parseJobId } from "./parse-option.ts";
import { printAnswers } from "./print-answers.ts";
import { assertSucceeded, waitForJob } from "./wait-for-job.ts";

export const resultCommand = (run: Run) =>
  createCommand("result", "print the answers of a job")
    .argument("<job>", "its id", parseJobId)
    .option("--wait", "until the job is over")
    .action((id, options) =>
      run(options, async (context) => {
        const { client } = context;
        if (options.wait) assertSucceeded(await waitForJob(context, await client.get(id)));
        printAnswers(context, await client.result({ id }));
        return EXIT.done;
      }),
    );
