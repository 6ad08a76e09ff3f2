import type { Job } from "../../contract/job-resource.ts";

/** What was typed cannot be done, or a file that it names cannot be read. */
export class UsageError extends Error {}

/** Nothing answers at the service's address. */
export class UnreachableError extends Error {}

/** Whoever sits at the keyboard has had enough. */
export class Interrupted extends Error {}

/** A job that was waited for ended without succeeding. */
export class JobEnded extends Error {
  readonly code: string;

  constructor({ id, status, error }: Pick<Job, "id" | "status" | "error">) {
    super(`Job ${id} ${status === "failed" ? `failed: ${error?.message}` : `is ${status}.`}`);
    this.code = error?.code ?? `job_${status}`;
  }
}
