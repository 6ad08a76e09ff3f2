import type { Claim } from "../../api/state/jobs/job-claims.ts";
import type { JobStore } from "../../api/state/jobs/job-store.ts";

/** The claim of a job that there is to be had. */
export async function claimJob(
  jobs: Pick<JobStore, "claim">,
  ...[tenant, id, owner, engine]: Parameters<JobStore["claim"]>
): Promise<Claim> {
  const result = await jobs.claim(tenant, id, owner, engine);
  if (result.kind !== "claimed") throw new Error(`the job is ${result.kind}`);
  return result.claim;
}
