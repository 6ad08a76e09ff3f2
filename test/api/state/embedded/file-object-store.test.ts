import { randomUUID } from "node:crypto";
import { readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AppError } from "../../../../api/contract/errors.ts";
import { openDatabase } from "../../../../api/state/embedded/database.ts";
import { createFileObjectStore } from "../../../../api/state/embedded/file-object-store.ts";
import { createObjectUrls } from "../../../../api/state/embedded/object-urls.ts";
import { openEmbedded } from "../../../support/embedded-state.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { describeObjectStore } from "../contract/object-store.ts";

describeObjectStore("embedded object store", async () => {
  const directory = await temporaryDirectory();
  const state = await openEmbedded(directory.path);
  return {
    store: state.objects,
    async close() {
      await state.close();
      await directory[Symbol.asyncDispose]();
    },
  };
});

const large = (fill: string) => Buffer.alloc(100_000, fill);

test("objects are there after reopening", async () => {
  await using directory = await temporaryDirectory();
  const before = await openEmbedded(directory.path);
  const etag = await before.objects.put("small", Buffer.from("s"));
  await before.objects.put("large", large("l"));
  await before.close();
  const after = await openEmbedded(directory.path);
  expect(await after.objects.get("small")).toEqual({ body: new Uint8Array(Buffer.from("s")), etag });
  expect((await after.objects.get("large"))?.body.length).toBe(100_000);
  await after.close();
});

test("files of replaced, refused and deleted bodies are removed", async () => {
  await using directory = await temporaryDirectory();
  const { objects, close } = await openEmbedded(directory.path);
  const files = async () => (await readdir(join(directory.path, "bodies"))).length;
  await objects.put("a", large("1"));
  await objects.put("a", large("2"));
  await objects.putIfAbsent("a", large("3"));
  expect(await files()).toBe(1);
  await objects.put("a", Buffer.from("now small"));
  expect(await files()).toBe(0);
  await objects.put("b", large("4"));
  await objects.delete("b");
  expect(await files()).toBe(0);
  await close();
});

test("a body whose row cannot be written leaves no file, and one whose row was written keeps it", async () => {
  await using directory = await temporaryDirectory();
  const database = await openDatabase(directory.path);
  let failure: "before" | "after" | null = null;
  const failing: typeof database = {
    ...database,
    async write(run) {
      if (failure === "before") throw new AppError("unavailable", "the disk is full");
      const result = await database.write(run);
      if (failure === "after") throw new AppError("unavailable", "the disk cannot be synced");
      return result;
    },
  };
  const urls = createObjectUrls(new Uint8Array(32), Date.now);
  const objects = await createFileObjectStore({ database: failing, urls, now: Date.now, newId: randomUUID });
  const streamed = async function* () {
    yield large("s");
  };
  await objects.put("source", large("c"));
  const puts = {
    put: () => objects.put("put", large("p")),
    stream: () => objects.putStream("stream", streamed()),
    copy: () => objects.copy("source", "copy"),
  };
  const files = async () => (await readdir(join(directory.path, "bodies"))).length;
  for (const [key, put] of Object.entries(puts)) {
    const before = await files();
    failure = "before";
    await expect(put()).rejects.toMatchObject({ code: "unavailable" });
    expect(await files(), key).toBe(before);
    failure = "after";
    await expect(put()).rejects.toMatchObject({ code: "unavailable" });
    expect((await objects.get(key))?.body.length, key).toBe(100_000);
  }
  await database.close();
});

test("opening removes old files that no object names, and no others", async () => {
  await using directory = await temporaryDirectory();
  const before = await openEmbedded(directory.path);
  await before.objects.put("kept", large("k"));
  await before.close();
  const bodies = join(directory.path, "bodies");
  await writeFile(join(bodies, "being-written"), "");
  await writeFile(join(bodies, "left-by-a-crash"), "");
  const hoursAgo = new Date(Date.now() - 2 * 60 * 60 * 1000);
  for (const name of await readdir(bodies))
    if (name !== "being-written") await utimes(join(bodies, name), hoursAgo, hoursAgo);
  const after = await openEmbedded(directory.path);
  expect((await readdir(bodies)).includes("left-by-a-crash")).toBe(false);
  expect((await readdir(bodies)).includes("being-written")).toBe(true);
  expect((await after.objects.get("kept"))?.body.length).toBe(100_000);
  await after.close();
});
