// `npm run bench:engine`: tokenises a real text, runs the C++ benchmark on it with the default
// ShadowKV knobs, and passes any further option on to it.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DEFAULT_CACHE } from "../options.ts";
import { loadPrompts } from "../prompt/prompt.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const BENCH = path("../../.build/native/bench");
const MODEL = path("../models/needle");
const SAMPLE = join(MODEL, "sample/document.txt");

const args = process.argv.slice(2);
const json = args.includes("--json");
const passedOn = args.filter((arg) => arg !== "--json");
process.exitCode = await main();

async function main(): Promise<number> {
  if (!existsSync(BENCH)) {
    console.error(`the benchmark is not built (${BENCH} is missing): run \`npm run bench:engine\``);
    return 1;
  }
  const folder = await mkdtemp(join(tmpdir(), "gnomon-bench-"));
  try {
    const tokens = join(folder, "tokens.bin");
    await writeFile(tokens, await sampleTokens());
    const knobs = ["rank", "chunkSize", "sparseBudget", "outlierChunks", "localWindow", "slots"] as const;
    const options = knobs.flatMap((knob) => [
      `--${knob.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      String(DEFAULT_CACHE[knob]),
    ]);
    // Later options win, so whatever the caller gives overrides these.
    const run = spawnSync(BENCH, ["--model", MODEL, "--tokens", tokens, ...options, ...passedOn], {
      stdio: ["ignore", "pipe", "inherit"],
      encoding: "utf8",
    });
    if (json) process.stdout.write(run.stdout);
    return run.status ?? 1;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The sample document's token ids, little-endian uint32. */
async function sampleTokens(): Promise<Uint8Array> {
  const prompts = await loadPrompts(MODEL);
  const tokens = await prompts.encode({
    document: await readFile(SAMPLE, "utf8"),
    question: "Summarize the decisions recorded in the provided text.",
  });
  return new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
}
