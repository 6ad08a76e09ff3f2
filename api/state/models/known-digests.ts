import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { bootId } from "./boot-id.ts";
import { digestFile } from "./file-digest.ts";

export type KnownDigests = {
  /** Of the whole file, which is read only if it is not known. */
  sha256(path: string): Promise<string>;
  /** That `path`, as it now is, has this SHA-256. */
  remember(path: string, sha256: string): Promise<void>;
};

const Entry = z.object({ file: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

/**
 * Digests of large files that have been read once, in a folder of one's own, so that the next process need not. A file is
 * known again by its device, inode, size and both times, whatever its path; writing to it changes them. Where nothing can
 * be written every file is read.
 */
export function createKnownDigests({ folder }: { folder: string }): KnownDigests {
  async function remember(path: string, sha256: string): Promise<void> {
    const { entry, file } = await identify(path, folder);
    await write(entry, { file, sha256 });
  }

  async function write(entry: string, content: z.infer<typeof Entry>): Promise<void> {
    const partial = `${entry}.${randomUUID()}`;
    try {
      await mkdir(folder, { recursive: true });
      await writeFile(partial, JSON.stringify(content));
      await rename(partial, entry);
    } catch {
      // A read-only or full disk: only the saving is lost.
    }
  }

  return {
    remember,
    async sha256(path) {
      const { entry, file } = await identify(path, folder);
      const known = await readFile(entry, "utf8")
        .then((text) => Entry.parse(JSON.parse(text)), none)
        .catch(none);
      if (known?.file === file) return known.sha256;
      const sha256 = await digestFile(path, "sha256");
      // What was written to meanwhile has other times by now, and is not found under the old ones.
      await write(entry, { file, sha256 });
      return sha256;
    },
  };
}

const none = (): null => null;

async function identify(path: string, folder: string): Promise<{ entry: string; file: string }> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  const boot = (await bootId()).trim();
  return { entry: join(folder, `${dev}-${ino}.json`), file: [boot, size, mtimeNs, ctimeNs].join(" ") };
}
