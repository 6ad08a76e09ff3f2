import type { JobList } from "../../contract/job-resource.ts";
import { accepted } from "../request.ts";
import { batchLine, errorLines, isBatchId, quoteLine } from "./batch-lines.ts";
import { createCommand, type Run } from "./command.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";
import { EXIT } from "./exit-status.ts";
import { jobLines, jobRows } from "./job-lines.ts";
import { parseCount, parseId } from "./parse-option.ts";
import { formatTable } from "./table.ts";
import { batchExit, waitForBatch } from "./wait-for-batch.ts";
import { assertSucceeded, waitForJob } from "./wait-for-job.ts";

export const statusCommand = (run: Run) =>
  createCommand("status", "how a job or a batch stands, or the latest jobs")
    .argument("[id]", "of a job or a batch", parseId)
    .option("--wait", "until it is over")
    .option("--limit <n>", "how many jobs are listed, 100 at most", parseCount, 20)
    .action((id, options) =>
      run(options, async (context) => {
        if (id === undefined && options.wait) throw new UsageError("--wait needs the id of a job or a batch.");
        if (id === undefined) return list(context, options.limit);
        if (isBatchId(id)) return showBatch(context, id, options.wait ?? false);
        return show(context, id, options.wait ?? false);
      }),
    );

async function show(context: Context, id: string, wait: boolean): Promise<number> {
  const { client, terminal, json } = context;
  const found = await client.get(id);
  const job = wait ? await waitForJob(context, found) : found;
  terminal.print(json ? JSON.stringify(job) : jobLines(job).join("\n"));
  if (wait) assertSucceeded(job);
  return EXIT.done;
}

async function showBatch(context: Context, id: string, wait: boolean): Promise<number> {
  const { client, terminal, json } = context;
  const found = await client.batches.get(id);
  const batch = wait ? await waitForBatch(context, found) : found;
  const lines = [batchLine(batch), ...errorLines(batch), ...(batch.quote === null ? [] : [quoteLine(batch)])];
  terminal.print(json ? JSON.stringify(batch) : lines.join("\n"));
  return wait ? batchExit(batch) : EXIT.done;
}

async function list({ client, terminal, json }: Context, limit: number): Promise<number> {
  const response = await client.routes.v1.jobs.$get({ query: { limit: String(limit) } });
  const jobs = (await accepted("GET /v1/jobs", response as never)) as JobList;
  if (json) terminal.print(JSON.stringify(jobs));
  else terminal.print(jobs.data.length === 0 ? "There are no jobs." : formatTable(jobRows(jobs.data)));
  return EXIT.done;
}
