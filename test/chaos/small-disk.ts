import { execFile } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export type SmallDisk = {
  directory: string;
  /** Takes what is left of it, to the last page. */
  fill(): void;
  free(): void;
  stop(): Promise<void>;
};

/** A file system of its own, small enough to be filled. Null where this user may not mount one. */
export async function mountSmallDisk(megabytes: number): Promise<SmallDisk | null> {
  const directory = await mkdtemp(join(tmpdir(), "gnomon-disk-"));
  try {
    await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=700`, "gnomon-chaos", directory]);
  } catch {
    await rm(directory, { recursive: true, force: true });
    return null;
  }
  const filler = join(directory, "filler");
  return {
    directory,
    fill() {
      const file = openSync(filler, "a");
      for (const bytes of [1024 * 1024, 4096]) while (hasTaken(file, bytes));
      closeSync(file);
    },
    free: () => rmSync(filler, { force: true }),
    async stop() {
      await run("umount", ["-l", directory]);
      await rm(directory, { recursive: true, force: true });
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
