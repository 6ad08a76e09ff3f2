import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { temporaryDirectory } from "./temporary-directory.ts";

const run = promisify(execFile);

/** A file system of so many bytes; null where this process may not mount one. */
export async function mountSmallDisk(bytes: number) {
  const directory = await temporaryDirectory();
  const { path } = directory;
  const mount = (...options: string[]) => run("mount", ["-t", "tmpfs", "-o", options.join(","), "tmpfs", path]);
  try {
    await mount(`size=${bytes}`);
  } catch {
    await directory[Symbol.asyncDispose]();
    return null;
  }
  return {
    path,
    grow: (more: number) => mount("remount", `size=${more}`),
    async [Symbol.asyncDispose]() {
      await run("umount", [path]);
      await directory[Symbol.asyncDispose]();
    },
  };
}
