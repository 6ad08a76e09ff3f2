import { execFile } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { temporaryDirectory } from "./temporary-directory.ts";

const run = promisify(execFile);

export type SmallDisk = AsyncDisposable & {
  path: string;
  /** Takes what is left of it, to the last page. */
  fill(): void;
  free(): void;
  grow(bytes: number): Promise<unknown>;
};

/** A file system of so many bytes; null where this process may not mount one. */
export async function mountSmallDisk(bytes: number): Promise<SmallDisk | null> {
  const directory = await temporaryDirectory();
  const { path } = directory;
  const mount = (...options: string[]) => run("mount", ["-t", "tmpfs", "-o", options.join(","), "tmpfs", path]);
  try {
    await mount(`size=${bytes}`, "mode=700");
  } catch {
    await directory[Symbol.asyncDispose]();
    return null;
  }
  const filler = join(path, "filler");
  return {
    path,
    fill() {
      const file = openSync(filler, "a");
      for (const size of [1024 * 1024, 4096]) while (hasTaken(file, size));
      closeSync(file);
    },
    free: () => rmSync(filler, { force: true }),
    grow: (more) => mount("remount", `size=${more}`),
    async [Symbol.asyncDispose]() {
      await run("umount", ["-l", path]);
      await directory[Symbol.asyncDispose]();
    },
  };
}

function hasTaken(file: number, bytes: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(bytes)) === bytes;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
    throw error;
  }
}
