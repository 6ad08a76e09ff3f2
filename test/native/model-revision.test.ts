import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { digestFile } from "../../api/state/models/file-digest.ts";
import { modelRevision } from "../../native/model-revision.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const sha256 = (path: string) => digestFile(path, "sha256");
const NEEDLE = new URL("../../native/models/needle/", import.meta.url).pathname;

it("is the same for the same files anywhere, and another once one of them differs", async () => {
  await using copy = await temporaryDirectory();
  const revision = await modelRevision(NEEDLE, sha256);
  for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]) {
    await cp(join(NEEDLE, name), join(copy.path, name));
  }
  expect(await modelRevision(copy.path, sha256)).toBe(revision);
  await writeFile(join(copy.path, "README.md"), "not of the model");
  expect(await modelRevision(copy.path, sha256)).toBe(revision);
  await writeFile(join(copy.path, "chat_template.jinja"), "{{ messages }}");
  expect(await modelRevision(copy.path, sha256)).not.toBe(revision);
});
