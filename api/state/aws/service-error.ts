import { AppError } from "../../contract/errors.ts";

/** What the AWS SDK throws for an answer of the service, as far as the adapters look at it. */
export type ServiceError = Error & { $metadata: { httpStatusCode?: number; attempts?: number } };

export const isServiceError = (error: unknown): error is ServiceError => error instanceof Error && "$metadata" in error;

export function unavailable(what: string, cause: unknown): AppError {
  if (cause instanceof AppError) return cause;
  const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  return new AppError("unavailable", `${what}: ${reason}`, { cause });
}
