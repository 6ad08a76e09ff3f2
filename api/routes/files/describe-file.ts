import { AppError } from "../../contract/errors.ts";
import type { File, FileInfo } from "../../contract/file.ts";

const seconds = (ms: number): number => Math.floor(ms / 1000);

export const describeFile = ({ id, filename, purpose, bytes, created_ms, expires_ms }: FileInfo): File => ({
  object: "file",
  id,
  bytes,
  created_at: seconds(created_ms),
  ...(expires_ms === null ? {} : { expires_at: seconds(expires_ms) }),
  filename,
  purpose,
  status: "processed",
});

export const fileNotFound = (id: string, field = "file_id"): AppError =>
  new AppError("file_not_found", `no file ${id}`, {
    field,
    detail: `There is no file \`${id}\`: it was deleted, has expired, or was never uploaded.`,
  });
