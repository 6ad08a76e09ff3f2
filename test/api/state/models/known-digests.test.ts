import { readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { createKnownDigests } from "../../../../api/state/models/known-digests.ts";
import { fetchModel } from "../../../../api/state/models/model-cache.ts";
import { createMemoryModelStore } from "../../../support/memory-model-store.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

/** SHA-256 of `abc`. */
const OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/** What no file has: where it is answered, the file was not read. */
const REMEMBERED = "0".repeat(64);

let folder: string;
beforeEach(async () => {
  const directory = await temporaryDirectory();
  folder = directory.path;
  return () => directory[Symbol.asyncDispose]();
});

async function abc(): Promise<string> {
  const path = join(folder, "model.safetensors");
  await writeFile(path, "abc");
  return path;
}
const open = () => createKnownDigests({ folder: join(folder, "sha256") });

test("a file is read once, and known to the next process", async () => {
  const path = await abc();
  expect(await open().sha256(path)).toBe(OF_ABC);
  await open().remember(path, REMEMBERED);
  expect(await open().sha256(path)).toBe(REMEMBERED);
});

test("what a download has verified is known in the folder that it ends in", async () => {
  const { store } = createMemoryModelStore({ "config.json": Buffer.from("{}") });
  const { folder: model } = await fetchModel({
    store,
    source: "s3://models/llama",
    cache: join(folder, "cache"),
    digests: { remember: (path) => open().remember(path, REMEMBERED) },
    now: Date.now,
    onProgress() {},
  });
  expect(await open().sha256(join(model, "config.json"))).toBe(REMEMBERED);
});

test.each([
  [
    "other content of the same length and time",
    async (path: string) => {
      await writeFile(path, "abd");
      await utimes(path, 1, 1);
    },
  ],
  ["a change of its time", (path: string) => utimes(path, 2, 2)],
])("%s makes it unknown", async (_, change) => {
  const path = await abc();
  await utimes(path, 1, 1);
  await open().remember(path, REMEMBERED);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await change(path);
  expect(await open().sha256(path)).not.toBe(REMEMBERED);
});

test("an entry that is damaged is none", async () => {
  const path = await abc();
  await open().remember(path, REMEMBERED);
  const [entry = ""] = await readdir(join(folder, "sha256"));
  await writeFile(join(folder, "sha256", entry), '{"file":');
  expect(await open().sha256(path)).toBe(OF_ABC);
});

test("where nothing can be written, files are read", async () => {
  const path = await abc();
  const digests = createKnownDigests({ folder: join(path, "not a folder") });
  expect(await digests.sha256(path)).toBe(OF_ABC);
  expect(await digests.sha256(path)).toBe(OF_ABC);
});
