import { AppError } from "../../contract/errors.ts";

/** SQLite's code for a write that found no room. */
const SQLITE_FULL = 13;
const NO_ROOM: readonly unknown[] = ["ENOSPC", "EDQUOT"];

/** Runs statements; what SQLite throws becomes AppError `unavailable` or `storage_full`. */
export function guard<T>(run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ERR_SQLITE_ERROR") {
      throw storeFailed(`the state database failed: ${cause.message}`, cause);
    }
    throw cause;
  }
}

/** A full disk is worth a code of its own: trying again does not help before somebody has made room. */
export function storeFailed(message: string, cause: unknown): AppError {
  if (!isNoRoom(cause)) return new AppError("unavailable", message, { cause });
  return new AppError("storage_full", `the disk of the state directory is full: ${message}`, {
    detail:
      "The service has no room to store more, and has taken nothing in of this request; what it accepted before is " +
      "safe. Try again later, or tell whoever runs it.",
    retryAfterSeconds: 60,
    cause,
  });
}

const isNoRoom = (error: unknown): boolean =>
  error instanceof Error &&
  (("errcode" in error && error.errcode === SQLITE_FULL) || ("code" in error && NO_ROOM.includes(error.code)));
