import { existsSync } from "node:fs";
import { ROOT, run, SetupError } from "./step.mjs";

/** Paths, relative to the root, of all files that git tracks or would track. */
export async function sourceFiles() {
  const { status, output } = await run("git", ["ls-files", "--cached", "--others", "--exclude-standard"]);
  if (status !== 0) throw new SetupError(output);
  return output.split("\n").filter((file) => file !== "" && existsSync(`${ROOT}/${file}`));
}
