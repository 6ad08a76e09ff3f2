import { AppError } from "../contract/errors.ts";

/** Throws AppError `invalid_request` unless `key` is what the port allows; the length limit is S3's. */
export function assertKey(key: string): void {
  const plain = /^[\x20-\x7e]{1,1024}$/.test(key);
  if (!plain || key.split("/").some((segment) => segment === "" || segment === "." || segment === "..")) {
    throw new AppError("invalid_request", `not an object key: ${JSON.stringify(key.slice(0, 200))}`);
  }
}
