import { randomBytes } from "node:crypto";
import { readdir, readFile, truncate } from "node:fs/promises";
import { basename, join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { createKnownDigests } from "../../../../api/state/models/known-digests.ts";
import { fetchModel } from "../../../../api/state/models/model-cache.ts";
import type { ModelStore } from "../../../../api/state/models/model-download.ts";
import { createMemoryModelStore } from "../../../support/memory-model-store.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const contents = { "config.json": Buffer.from("{}"), "model.safetensors": randomBytes(9 * 1024 * 1024) };

let cache: string;
beforeEach(async () => {
  const directory = await temporaryDirectory();
  cache = join(directory.path, "cache");
  return () => directory[Symbol.asyncDispose]();
});

const fetch = (store: ModelStore, source = "s3://models/llama") =>
  fetchModel({
    store,
    source,
    cache,
    digests: createKnownDigests({ folder: join(cache, "sha256") }),
    now: Date.now,
    onProgress: () => {},
  });

async function expectWeights(folder: string): Promise<void> {
  const weights = await readFile(join(folder, "model.safetensors"));
  expect(weights.equals(contents["model.safetensors"])).toBe(true);
}

test("keeps a model under its own name, and the next process reads nothing", async () => {
  const { store, reads } = createMemoryModelStore(contents);
  const first = await fetch(store);
  expect(basename(first.folder)).toBe("llama");
  expect(first.fetchedBytes).toBe(first.bytes);
  await expectWeights(first.folder);
  const read = reads.length;
  expect(await fetch(store)).toMatchObject({ folder: first.folder, fetchedBytes: 0 });
  expect(reads.length).toBe(read);
});

test("two processes that start at once download it once", async () => {
  const { store, reads } = createMemoryModelStore(contents);
  const both = await Promise.all([fetch(store), fetch(store)]);
  expect(both.filter(({ fetchedBytes }) => fetchedBytes > 0)).toHaveLength(1);
  expect(reads).toHaveLength(3);
});

test("an object that was replaced is a new version, and the old one goes", async () => {
  const old = await fetch(createMemoryModelStore(contents).store);
  const other = await fetch(createMemoryModelStore(contents).store, "s3://models/other");
  const changed = await fetch(createMemoryModelStore({ ...contents, "config.json": Buffer.from("[]") }).store);
  expect(changed.folder).not.toBe(old.folder);
  expect(await readFile(join(changed.folder, "config.json"), "utf8")).toBe("[]");
  await expect(readdir(old.folder)).rejects.toThrow(/ENOENT/);
  expect(await readdir(other.folder)).toHaveLength(2);
});

test("a file that has lost its end is fetched again", async () => {
  const { store } = createMemoryModelStore(contents);
  const { folder } = await fetch(store);
  await truncate(join(folder, "model.safetensors"), 100);
  await fetch(store);
  await expectWeights(folder);
});

test("says before it begins that the disk is too small, and which variable names it", async () => {
  const { store } = createMemoryModelStore(contents);
  const huge: ModelStore = {
    ...store,
    list: async () => (await store.list()).map((file) => ({ ...file, bytes: 2 ** 50 })),
  };
  await expect(fetch(huge)).rejects.toThrow(/GNOMON_MODEL_CACHE: .* free, and the model needs 2251799.9 GB/);
});
