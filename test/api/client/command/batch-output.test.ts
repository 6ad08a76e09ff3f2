import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createBatchOutput } from "../../../../api/client/command/batch-output.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gnomon-batch-output-"));
  path = join(directory, "results.jsonl");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const begun = { input: "abc", file: "file-1", batch: "batch_1", cursor: "", bytes: 0, is_over: false };
const lines = (text: string) => [Buffer.from(text)];

test("what a crash left behind the last saved line is written over", async () => {
  const output = createBatchOutput(path);
  const run = await output.append(begun, lines('{"line":1}\n'), "0-a");
  await appendFile(path, '{"line":2}\n{"li');
  const again = createBatchOutput(path);
  expect(await again.load("abc")).toEqual(run);
  await again.append(run, lines('{"line":2}\n'), "0-b");
  expect(await readFile(path, "utf8")).toBe('{"line":1}\n{"line":2}\n');
});

test.each([
  ["removed", () => rm(path)],
  ["cut short", () => writeFile(path, '{"li')],
])("an output that was %s is read from its first line on", async (_, spoil) => {
  const output = createBatchOutput(path);
  await output.append(begun, lines('{"line":1}\n'), "0-a");
  await spoil();
  const again = await output.load("abc");
  expect(again).toMatchObject({ batch: "batch_1", cursor: "", bytes: 0 });
  await output.append(again ?? begun, lines('{"line":1}\n'), "0-a");
  expect(await readFile(path, "utf8")).toBe('{"line":1}\n');
});

test("the state of another input, or one that cannot be read, is none", async () => {
  const output = createBatchOutput(path);
  await output.save(begun);
  expect(await output.load("other")).toBe(null);
  await writeFile(`${path}.state.json`, "{");
  expect(await output.load("abc")).toBe(null);
});
