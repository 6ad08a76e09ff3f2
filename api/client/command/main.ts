// The `gnomon` command as a process. gnomon.mjs starts it on a Node that can run it.
import { readFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { runCommand } from "./program.ts";
import { createTerminal } from "./terminal.ts";

// `gnomon result ID | head`: nobody reads any more, so there is nothing left to do.
process.stdout.on("error", ({ code }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit(0);
  process.stderr.write(`gnomon: Cannot write to standard output (${code}).\n`, () => process.exit(1));
});
// Nor what is only to be read while it goes on: the answers are still wanted.
process.stderr.on("error", () => {});

const { GNOMON_URL, GNOMON_API_KEY } = process.env;
const status = await runCommand(process.argv.slice(2), {
  env: { GNOMON_URL, GNOMON_API_KEY },
  terminal: createTerminal(process),
  fetch,
  now: Date.now,
  version: await readVersion(),
});
// Requests that were given up would keep the process; what was written has to go out first.
await new Promise<void>((resolve) => void process.stdout.write("", () => resolve()));
process.exit(status);

/** Of the checkout, or of the package that was installed. */
async function readVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(findPackageJSON("..", import.meta.url) ?? "", "utf8")) as {
    version: string;
  };
  return version;
}
