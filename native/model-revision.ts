import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** What of a model directory has a say in its answers; the rest describes it. */
const MODEL_FILE = /\.(json|safetensors|jinja)$/;
/** Files that are read at once. */
const READERS = 4;

/**
 * SHA-256 over the files of a model: two directories with the same one give the same answers. Of each file `sha256` is
 * asked, which may know it without reading it.
 */
export async function modelRevision(modelDir: string, sha256: (path: string) => Promise<string>): Promise<string> {
  const names = (await readdir(modelDir)).filter((name) => MODEL_FILE.test(name)).sort();
  const digests = new Map<string, string>();
  const waiting = [...names];
  const readers = Array.from({ length: READERS }, async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      digests.set(name, await sha256(join(modelDir, name)));
    }
  });
  await Promise.all(readers);
  const all = createHash("sha256");
  for (const name of names) all.update(`${digests.get(name)}  ${name}\n`);
  return all.digest("hex");
}
