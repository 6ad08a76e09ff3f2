import { AppError } from "../../contract/errors.ts";
import type { JobState } from "../../contract/job.ts";
import type { JobResult } from "../../contract/job-result.ts";
import type { JobStore } from "../../state/jobs/job-store.ts";

export const jobNotFound = (id: string): AppError =>
  new AppError("job_not_found", `no job ${id}`, {
    detail: `There is no job \`${id}\`: it never was, or was removed some time after its end; GET /v1/jobs lists what there is.`,
  });

export async function readJob(jobs: Pick<JobStore, "get">, tenant: string, id: string): Promise<JobState> {
  const state = await jobs.get(tenant, id);
  if (state === null) throw jobNotFound(id);
  return state;
}

/** Of a job that is over: its answers, or what there was of them when it was stopped. Null if there is nothing. */
export const readResult = async (
  jobs: Pick<JobStore, "getResult" | "getPartial">,
  { tenant, id, status }: JobState,
): Promise<JobResult | null> => (status === "succeeded" ? jobs.getResult(tenant, id) : jobs.getPartial(tenant, id));

export const notFinished = ({ id, status }: JobState, what: string): AppError =>
  new AppError("job_not_finished", `job ${id} is ${status}`, {
    detail: `Job \`${id}\` is ${status}: ${what} it once it is over, or cancel it first by POST /v1/jobs/${id}/cancel.`,
    extra: { job_status: status },
  });
