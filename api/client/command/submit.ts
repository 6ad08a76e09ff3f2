import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { Job } from "../../contract/job-resource.ts";
import type { JobQuestion } from "../client.ts";
import type { Run } from "./command.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";
import { EXIT } from "./exit-status.ts";
import { createQuestionCommand } from "./question-options.ts";
import { submitQuestion } from "./submit-question.ts";
import { assertSucceeded, waitForJob } from "./wait-for-job.ts";

export const submitCommand = (run: Run) =>
  createQuestionCommand("submit", "start a job and print its id at once")
    .option("--request <file>", "the whole job as JSON, as POST /v1/jobs takes it; - is standard input")
    .option("--wait", "until the job is over")
    .action((files, options) =>
      run(options, async (context) => {
        const job =
          options.request === undefined
            ? await submitQuestion(context, files, options)
            : await submitRequest(context, options.request, files, options);
        if (options.wait) {
          const ended = await waitForJob(context, job, options.maxTokens);
          print(context, ended);
          assertSucceeded(ended);
        } else {
          print(context, job);
        }
        return EXIT.done;
      }),
    );

const print = ({ json, terminal }: Context, job: Job): void => terminal.print(json ? JSON.stringify(job) : job.id);

async function submitRequest(
  { client, terminal }: Context,
  path: string,
  files: string[],
  { question = [], idempotencyKey }: { question?: string[] | undefined; idempotencyKey?: string | undefined },
): Promise<Job> {
  if (files.length > 0 || question.length > 0) {
    throw new UsageError("--request is the whole job: files and questions go into it.");
  }
  const read = path === "-" ? text(terminal.in) : readFile(path, "utf8");
  const json = await read.catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      error.code === "ENOENT" ? `There is no file ${path}.` : `Cannot read ${path} (${error.code}).`,
    );
  });
  // Its fields are the service's to judge.
  return client.submit(parseJson(json, path) as JobQuestion, { idempotencyKey });
}

function parseJson(json: string, path: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new UsageError(`${path} is no JSON: ${(error as SyntaxError).message}.`);
  }
}
