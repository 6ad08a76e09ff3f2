import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new directory that goes with the scope: `await using directory = await temporaryDirectory()`. */
export async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), "gnomon-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
