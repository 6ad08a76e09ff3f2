import type { Job } from "../../contract/job-resource.ts";
import { JobEnded } from "../errors.ts";
import type { Context } from "./context.ts";
import { interruptible } from "./interruptible.ts";
import { jobProgress } from "./job-progress.ts";

/** The job once it is over, whichever way, with its bars until then. */
export async function waitForJob(context: Context, job: Job, maxTokens?: number): Promise<Job> {
  const { client, terminal, progress } = context;
  const { id } = job;
  const options = {
    terminal,
    progress,
    what: `job ${id}`,
    cancel: () => client.cancel(id),
    later: `\`gnomon result ${id} --wait\` comes back to it.`,
  };
  try {
    return await interruptible(options, (signal) =>
      client.wait(job, { signal, onProgress: (look) => progress.show(jobProgress(look, maxTokens)) }),
    );
  } finally {
    progress.stop();
  }
}

/** Throws JobEnded if it did not succeed. */
export function assertSucceeded(job: Job): Job {
  if (job.status !== "succeeded") throw new JobEnded(job);
  return job;
}
