import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { BUILD, hasStamp, ROOT, SetupError, say, step, writeStamp } from "./step.mjs";

/** What only tests and linter need. Without it they say what they skip. */
const TESTS = { venv: `${BUILD}/venv`, requirements: `${ROOT}/test/requirements.txt` };
/** Apart, as its dependencies are many and only one command needs them. */
export const CONTRACT = { venv: `${BUILD}/venv-contract`, requirements: `${ROOT}/test/contract/requirements.txt` };

/** A virtual environment with the packages of one list. */
export async function pythonPackages({ venv, requirements } = TESTS) {
  if (!existsSync(requirements)) return;
  const wanted = createHash("sha256").update(readFileSync(requirements)).update(venv).digest("hex");
  if (hasStamp(`${venv}/installed`, wanted)) return;
  rmSync(venv, { recursive: true, force: true });
  try {
    await step("Python virtual environment", "python3", ["-m", "venv", venv], {
      remedy: "On Debian: apt-get install python3-venv",
    });
    await step("Python packages for the tests", `${venv}/bin/pip`, ["install", "-q", "-r", requirements], {
      remedy: "Is PyPI in reach? The tests that need these packages are skipped.",
    });
    writeStamp(`${venv}/installed`, wanted);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    rmSync(venv, { recursive: true, force: true });
  }
}
