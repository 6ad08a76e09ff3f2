import type { Job } from "../contract/job-resource.ts";

/** Nothing answers at the service's address. */
export class UnreachableError extends Error {}

/** A job that was waited for ended without succeeding. */
export class JobEnded extends Error {
  readonly code: string;

  constructor({ id, status, error }: Pick<Job, "id" | "status" | "error">) {
    super(`Job ${id} ${endOf(status, error)}`);
    this.name = "JobEnded";
    this.code = error?.code ?? `job_${status}`;
  }
}

function endOf(status: Job["status"], error: Job["error"]): string {
  if (status === "failed") return `failed: ${error?.message ?? "nothing is known of why"}`;
  return status === "cancelled" ? "was cancelled." : `is ${status}.`;
}
