import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

/** What of a model directory has a say in its answers; the rest describes it. */
const MODEL_FILE = /\.(json|safetensors|jinja)$/;

/** SHA-256 over the files of a model: two directories with the same one give the same answers. */
export async function modelRevision(modelDir: string): Promise<string> {
  const entries = await readdir(modelDir);
  const names = entries.filter((name) => MODEL_FILE.test(name)).sort();
  const digests = await Promise.all(names.map((name) => digest(join(modelDir, name))));
  const all = createHash("sha256");
  for (const [index, name] of names.entries()) all.update(`${digests[index]}  ${name}\n`);
  return all.digest("hex");
}

async function digest(path: string): Promise<string> {
  const hash: Hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: READ_BYTES }), hash);
  return hash.digest("hex");
}

const READ_BYTES = 4 * 1024 * 1024;
