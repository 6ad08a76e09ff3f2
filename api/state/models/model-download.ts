import { appendFile, mkdir, open, readFile, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AppError } from "../../contract/errors.ts";
import { type Digest, digestFile } from "./file-digest.ts";
import type { KnownDigests } from "./known-digests.ts";

export type ModelFile = {
  name: string;
  bytes: number;
  etag: string;
  modifiedMs: number;
  /** What its content must come to; null where nobody says. */
  digest: Digest | null;
};

/** Where a model comes from. */
export type ModelStore = {
  list(): Promise<ModelFile[]>;
  /** Bytes `start` up to, not including, `end`. Throws AppError if the file is another than the one listed, or gone. */
  read(file: ModelFile, start: number, end: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
};

/** So much is read by one request, where nobody says otherwise. */
const defaultRangeBytes = 8 * 1024 * 1024;
/** Requests at once: S3 gives each some 80 MB/s, so that one alone would leave most of the network idle. */
export const rangesAtOnce = 64;
const maxFailures = 5;
/** What is collected in memory for one write. */
const writeBytes = 1024 * 1024;
/** Which ranges are on disk, a file for each file. */
const journals = ".ranges";

type Options = {
  store: ModelStore;
  files: readonly ModelFile[];
  folder: string;
  digests: Pick<KnownDigests, "remember">;
  /** Called once for all that was there, then for every piece that has been written. */
  onBytes: (bytes: number) => void;
  rangeBytes?: number;
  atOnce?: number;
};

/**
 * Writes `files` into `folder` by many ranged reads at a time. What an earlier call had written there and noted is not
 * read again. Every file has its exact size in the end, is one version of its object, and has the digest
 * that it must have.
 */
export async function downloadModel(options: Options): Promise<{ resumedBytes: number }> {
  const { store, files, folder, digests, onBytes, rangeBytes = defaultRangeBytes, atOnce = rangesAtOnce } = options;
  await mkdir(join(folder, journals), { recursive: true });
  const stopping = new AbortController();
  const opened = await Promise.all(files.map((file) => openTarget(file, folder, rangeBytes)));
  const bytes = sum(files.map((file) => file.bytes));
  const resumedBytes = bytes - sum(opened.flatMap(({ missing }) => missing.map(({ start, end }) => end - start)));
  try {
    const ranges = opened.flatMap((target) => target.missing.map((range) => ({ target, range })));
    onBytes(resumedBytes);
    const runners = Array.from({ length: atOnce }, async () => {
      for (let next = ranges.shift(); next !== undefined; next = ranges.shift()) {
        await fetchRange(store, next.target, next.range, stopping.signal, onBytes);
      }
    });
    await Promise.all(runners).catch((error) => {
      stopping.abort(error);
      throw error;
    });
  } finally {
    await Promise.allSettled(opened.map(({ handle }) => handle.close()));
  }
  await Promise.all(opened.map((target) => check(target, digests)));
  await rm(join(folder, journals), { recursive: true });
  return { resumedBytes };
}

type Range = { index: number; start: number; end: number };
type Target = {
  file: ModelFile;
  path: string;
  journal: string;
  handle: Awaited<ReturnType<typeof open>>;
  missing: Range[];
};

async function openTarget(file: ModelFile, folder: string, rangeBytes: number): Promise<Target> {
  const path = join(folder, file.name);
  const journal = join(folder, journals, file.name);
  const noted = await readFile(journal, "utf8").catch(() => "");
  // A line without its end was being written when the process ended.
  const done = new Set(noted.split("\n").slice(0, -1).map(Number));
  const handle = await open(path, done.size > 0 ? "r+" : "w");
  await handle.truncate(file.bytes);
  const count = Math.ceil(file.bytes / rangeBytes);
  const missing = Array.from({ length: count }, (_, index) => ({
    index,
    start: index * rangeBytes,
    end: Math.min(file.bytes, (index + 1) * rangeBytes),
  })).filter(({ index }) => !done.has(index));
  return { file, path, journal, handle, missing };
}

async function fetchRange(
  store: ModelStore,
  { file, handle, journal }: Target,
  { index, start, end }: Range,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  let at = start;
  for (let failures = 0; at < end; ) {
    signal.throwIfAborted();
    try {
      for await (const pieces of batched(store.read(file, at, end, signal))) {
        const bytes = sum(pieces.map((piece) => piece.length));
        if (at + bytes > end) throw new Error(`more than the ${end - start} bytes asked for`);
        await handle.writev(pieces, at);
        at += bytes;
        failures = 0;
        onBytes(bytes);
      }
      if (at < end) throw new Error(`the answer ended ${end - at} bytes early`);
    } catch (error) {
      if (signal.aborted || error instanceof AppError) throw error;
      failures += 1;
      if (failures >= maxFailures) {
        throw new AppError("unavailable", `${file.name}, bytes ${at}-${end - 1}: ${(error as Error).message}`, {
          cause: error,
        });
      }
      await delay(Math.random() * 100 * 2 ** failures, undefined, { signal });
    }
  }
  await appendFile(journal, `${index}\n`);
}

/** In larger pieces; also of an answer that is cut off, all that came. */
async function* batched(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array[]> {
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  let failure: { error: unknown } | null = null;
  try {
    for await (const chunk of chunks) {
      pieces.push(chunk);
      bytes += chunk.length;
      if (bytes < writeBytes) continue;
      yield pieces;
      pieces = [];
      bytes = 0;
    }
  } catch (error) {
    failure = { error };
  }
  if (bytes > 0) yield pieces;
  if (failure !== null) throw failure.error;
}

async function check({ file, path, journal }: Target, digests: Pick<KnownDigests, "remember">): Promise<void> {
  if (file.digest !== null) {
    const { algorithm, hex } = file.digest;
    const got = await digestFile(path, algorithm);
    if (got !== hex) {
      // The next try must not build on it.
      await rm(journal, { force: true });
      throw new AppError(
        "unavailable",
        `${file.name} has ${algorithm} ${got} instead of ${hex}: it was damaged on its way`,
      );
    }
  }
  await utimes(path, file.modifiedMs / 1000, file.modifiedMs / 1000);
  if (file.digest?.algorithm === "sha256") await digests.remember(path, file.digest.hex);
}

const sum = (numbers: number[]): number => numbers.reduce((total, number) => total + number, 0);
