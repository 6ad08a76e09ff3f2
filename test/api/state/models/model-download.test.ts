import { randomBytes } from "node:crypto";
import { appendFile, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import { AppError } from "../../../../api/contract/errors.ts";
import { downloadModel, type ModelStore, rangesAtOnce } from "../../../../api/state/models/model-download.ts";
import { createMemoryModelStore, type Read } from "../../../support/memory-model-store.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const KIB = 1024;
const rangeBytes = 128 * KIB;
// Neither is a whole number of ranges.
const contents = {
  "model-1.safetensors": randomBytes(9 * 1024 * KIB + 17),
  "model-2.safetensors": randomBytes(1024 * KIB - 1),
  "config.json": Buffer.from("{}"),
  "empty.jinja": Buffer.alloc(0),
};
const totalBytes = Object.values(contents).reduce((total, { length }) => total + length, 0);

let folder: string;
beforeEach(async () => {
  const directory = await temporaryDirectory();
  folder = join(directory.path, "model");
  return () => directory[Symbol.asyncDispose]();
});

async function download(store: ModelStore) {
  let seen = 0;
  const onBytes = (bytes: number) => {
    seen += bytes;
  };
  const digests = { remember: async () => {} };
  const done = await downloadModel({ store, files: await store.list(), folder, digests, onBytes, rangeBytes });
  return { ...done, seen };
}

async function expectWhole(): Promise<void> {
  expect((await readdir(folder)).sort()).toEqual(Object.keys(contents).sort());
  for (const [name, body] of Object.entries(contents)) {
    expect(body.equals(await readFile(join(folder, name))), name).toBe(true);
  }
}

const rangeKey = ({ name, start }: Read) => `${name} ${start}`;

test("writes every byte of every file, by many ranges at a time and no more than it may", async () => {
  const { store, reads, mostAtOnce } = createMemoryModelStore(contents, () => delay(1));
  expect(await download(store)).toEqual({ resumedBytes: 0, seen: totalBytes });
  await expectWhole();
  expect(reads.length).toBe(73 + 8 + 1);
  expect(mostAtOnce()).toBeGreaterThan(10);
  expect(mostAtOnce()).toBeLessThanOrEqual(rangesAtOnce);
});

test("keeps the time that an object was written", async () => {
  await download(createMemoryModelStore(contents).store);
  expect((await stat(join(folder, "config.json"))).mtimeMs).toBe(1_700_000_000_000);
});

test("goes on behind the last byte of an answer that was cut off", async () => {
  const cut = new Set<string>();
  const { store, reads } = createMemoryModelStore(contents, (read, at) => {
    if (read.name !== "model-1.safetensors" || at < read.start + 64 * KIB || cut.has(rangeKey(read))) return;
    cut.add(rangeKey(read));
    throw new Error("socket hang up");
  });
  await download(store);
  await expectWhole();
  const again = reads.filter(({ start }) => start % rangeBytes !== 0);
  expect(again.length).toBeGreaterThan(0);
  for (const { start } of again) expect(start % rangeBytes).toBe(64 * KIB);
});

test("takes up a download that ended, and reads no range of it twice", async () => {
  const done = new Set<string>();
  const broken = createMemoryModelStore(contents, (read) => {
    // The last range cannot be had at all.
    if (read.name === "model-1.safetensors" && read.start >= 72 * rangeBytes) throw new Error("connection refused");
    done.add(rangeKey(read));
  });
  await expect(download(broken.store)).rejects.toMatchObject({ code: "unavailable" });

  const { store, reads } = createMemoryModelStore(contents);
  const { resumedBytes, seen } = await download(store);
  await expectWhole();
  expect(resumedBytes).toBeGreaterThan(4 * rangeBytes);
  expect(seen).toBe(totalBytes);
  const read = reads.reduce((total, { start, end }) => total + end - start, 0);
  expect(read).toBe(totalBytes - resumedBytes);
});

test("reads a range again of which the note was torn", async () => {
  const broken = createMemoryModelStore(contents, ({ start }) => {
    if (start >= rangeBytes) throw new AppError("unavailable", "gone");
  });
  await expect(download(broken.store)).rejects.toThrow();
  await appendFile(join(folder, ".ranges", "model-1.safetensors"), "3");
  await download(createMemoryModelStore(contents).store);
  await expectWhole();
});

test("refuses a file whose content is not what it must be, and does not build on it", async () => {
  const damaged = createMemoryModelStore({ ...contents, "model-2.safetensors": randomBytes(1024 * KIB - 1) });
  const { store } = createMemoryModelStore(contents);
  await expect(download({ ...store, read: damaged.store.read })).rejects.toThrow(/model-2.safetensors has sha256/);
  const again = createMemoryModelStore(contents);
  await download(again.store);
  await expectWhole();
  expect(new Set(again.reads.map(({ name }) => name))).toEqual(new Set(["model-2.safetensors"]));
});

test("does not try again what no other try can mend", async () => {
  const replaced = new AppError("unavailable", "was replaced while it was being read");
  const { store, reads } = createMemoryModelStore({ "config.json": contents["config.json"] }, () => {
    throw replaced;
  });
  await expect(download(store)).rejects.toBe(replaced);
  expect(reads).toHaveLength(1);
});
