import { createHash } from "node:crypto";
import { mkdir, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { AppError } from "../../contract/errors.ts";
import { bootId } from "./boot-id.ts";
import type { KnownDigests } from "./known-digests.ts";
import { downloadModel, type ModelFile, type ModelStore } from "./model-download.ts";

export type Fetched = { folder: string; bytes: number; fetchedBytes: number; seconds: number };

type Options = {
  store: ModelStore;
  /** The model's address, which other models in the cache do not have. */
  source: string;
  /** On a local disk, large enough for the model. Processes of one machine may share it. */
  cache: string;
  /** Told what the download has verified. */
  digests: Pick<KnownDigests, "remember">;
  now: () => number;
  onProgress: (progress: { bytes: number; totalBytes: number; seconds: number }) => void;
};

const progressMs = 5_000;
const lockMs = 200;
/** Left free on the cache's disk. */
const spareBytes = 64 * 1024 * 1024;

/**
 * The folder of the model in the cache. What is not there is downloaded, by one process at a time, into a folder beside
 * it that gets its name when it is whole; a try that was cut off is gone on with. An older version of the same model goes.
 */
export async function fetchModel({ store, source, cache, digests, now, onProgress }: Options): Promise<Fetched> {
  const startedMs = now();
  const seconds = () => (now() - startedMs) / 1000;
  const files = await store.list();
  const bytes = files.reduce((total, file) => total + file.bytes, 0);
  const prefix = `${hash(source)}-`;
  // The model is called by the name of its folder.
  const version = join(
    cache,
    prefix + hash(await bootId(), ...files.map(({ name, etag, bytes }) => `${name} ${etag} ${bytes}`)),
  );
  const folder = join(version, basename(source));
  await mkdir(cache, { recursive: true });
  const unlock = await lock(join(cache, `${hash(source)}.lock`));
  try {
    if (await isWhole(folder, files)) return { folder, bytes, fetchedBytes: 0, seconds: seconds() };
    await removeOthers(cache, prefix, version);
    const partial = join(version, "partial");
    await needSpace(cache, partial, bytes);
    let done = 0;
    let toldMs = startedMs;
    const { resumedBytes } = await downloadModel({
      store,
      files,
      folder: partial,
      digests,
      onBytes(more) {
        done += more;
        if (now() - toldMs < progressMs) return;
        toldMs = now();
        onProgress({ bytes: done, totalBytes: bytes, seconds: seconds() });
      },
    });
    // One that has lost some of its files.
    await rm(folder, { recursive: true, force: true });
    await rename(partial, folder);
    return { folder, bytes, fetchedBytes: bytes - resumedBytes, seconds: seconds() };
  } finally {
    unlock();
  }
}

const hash = (...texts: string[]): string => createHash("sha256").update(texts.join("\n")).digest("hex").slice(0, 16);

async function isWhole(folder: string, files: ModelFile[]): Promise<boolean> {
  const sizes = await Promise.all(files.map(({ name }) => stat(join(folder, name)).catch(() => null)));
  return files.every(({ bytes }, index) => sizes[index]?.size === bytes);
}

async function removeOthers(cache: string, prefix: string, version: string): Promise<void> {
  const others = (await readdir(cache)).filter((name) => name.startsWith(prefix) && name !== basename(version));
  // A worker that still runs an older version keeps what it has mapped.
  await Promise.all(others.map((name) => rm(join(cache, name), { recursive: true, force: true })));
}

async function needSpace(cache: string, partial: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(cache);
  const names = await readdir(partial).catch(() => []);
  const stats = await Promise.all(names.map((name) => stat(join(partial, name))));
  const there = stats.reduce((total, { blocks }) => total + blocks * 512, 0);
  const needed = bytes - there + spareBytes;
  if (bavail * bsize >= needed) return;
  const gb = (count: number) => `${(count / 1e9).toFixed(1)} GB`;
  throw new AppError(
    "invalid_environment",
    `GNOMON_MODEL_CACHE: ${cache} has ${gb(bavail * bsize)} free, and the model needs ${gb(needed)}: name a larger disk`,
  );
}

/** The operating system lets go of it when the process ends, however it ends. */
async function lock(path: string): Promise<() => void> {
  const database = new DatabaseSync(path);
  for (;;) {
    try {
      database.exec("BEGIN EXCLUSIVE");
      return () => database.close();
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== 5) throw error;
      await delay(lockMs);
    }
  }
}
