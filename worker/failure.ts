import { counted } from "../api/contract/counted.ts";
import { AppError, type ErrorCode } from "../api/contract/errors.ts";
import type { JobFailure } from "../api/contract/job.ts";

/** The engine's codes (native/engine/error.h) as the job's. What is not here may pass on another try. */
const ENGINE_CODES: Record<string, ErrorCode> = {
  invalid_model: "invalid_model",
  invalid_request: "invalid_request",
  context_overflow: "context_overflow",
  out_of_memory: "out_of_memory",
};

/** Whatever a run threw, as an AppError whose code says whether another attempt makes sense. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const code = engineCode(thrown);
  if (code === undefined) return new AppError("internal", message, { cause: thrown });
  const known = ENGINE_CODES[code];
  return known
    ? new AppError(known, message, { detail: message, cause: thrown })
    : new AppError("engine_failed", `${code}: ${message}`, { cause: thrown });
}

/** After this the engine answers nothing any more: only a new process helps. */
export const isEngineDead = (thrown: unknown): boolean => engineCode(thrown) === "device_failed";

function engineCode(thrown: unknown): string | undefined {
  const cause = thrown instanceof AppError ? thrown.cause : thrown;
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
}

/** 1 s, 2 s, 4 s ... up to a minute. */
export const backoffMs = (attempt: number): number => Math.min(60_000, 1_000 * 2 ** Math.max(0, attempt - 1));

export const attemptsExhausted = (attempts: number, last?: string): JobFailure => ({
  code: "attempts_exhausted",
  message: `Gave up after ${counted(attempts, "attempt")}.${last ? ` The last one: ${last}` : ""}`,
});
