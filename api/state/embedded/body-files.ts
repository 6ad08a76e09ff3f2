// Bodies too large for a row. Each lies in a file of its own, named by its etag, complete and on disk before anything
// names it; bodies never change.
import { type FileHandle, link, mkdir, open, readdir, readFile, rm, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Etag } from "../object-store.ts";
import { syncDirectory } from "./database.ts";
import { storeFailed } from "./guard.ts";

/** No put takes longer between its file and its row; files without a row are litter after that. */
const orphanAgeMs = 60 * 60 * 1000;

export type BodyFiles = Awaited<ReturnType<typeof openBodyFiles>>;

export async function openBodyFiles(directory: string, now: () => number) {
  await mkdir(directory, { recursive: true });
  const at = (etag: Etag): string => join(directory, etag);

  async function writing<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (cause) {
      throw storeFailed("an object's body cannot be written", cause);
    }
  }

  return {
    write: (etag: Etag, body: Uint8Array): Promise<void> =>
      writing(async () => {
        try {
          await using file = await open(at(etag), "wx");
          await file.writeFile(body);
          await file.datasync();
          await syncDirectory(directory);
        } catch (error) {
          // On a full disk above all: half a body is no use to anyone.
          await rm(at(etag), { force: true });
          throw error;
        }
      }),

    /** The bytes written. Throws what the body throws. */
    async writeStream(etag: Etag, body: AsyncIterable<Uint8Array>): Promise<number> {
      try {
        await using file = await writing(() => open(at(etag), "wx"));
        let bytes = 0;
        for await (const chunk of body) {
          await writing(() => file.appendFile(chunk));
          bytes += chunk.length;
        }
        await writing(async () => {
          await file.datasync();
          await syncDirectory(directory);
        });
        return bytes;
      } catch (error) {
        await rm(at(etag), { force: true });
        throw error;
      }
    },

    /** A second name of the same bytes. */
    async link(from: Etag, to: Etag): Promise<void> {
      await link(at(from), at(to));
      await syncDirectory(directory);
    },

    read: (etag: Etag): Promise<Uint8Array> => readFile(at(etag)),

    open: (etag: Etag): Promise<FileHandle> => open(at(etag), "r"),

    remove: (etag: Etag): Promise<void> => rm(at(etag), { force: true }),

    /** Removes what a crash left that `isNamed` by no row. */
    async sweep(isNamed: (etag: Etag) => boolean): Promise<void> {
      for (const name of await readdir(directory)) {
        const info = await stat(at(name)).catch(() => null);
        const old = info !== null && info.mtimeMs < now() - orphanAgeMs;
        if (old && !isNamed(name)) await unlink(at(name)).catch(() => {});
      }
    },
  };
}

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ENOENT";
