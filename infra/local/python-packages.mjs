import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { BUILD, hasStamp, ROOT, SetupError, say, step, writeStamp } from "./step.mjs";

const VENV = `${BUILD}/venv`;
const REQUIREMENTS = `${ROOT}/test/requirements.txt`;

/** A virtual environment with what only tests and linter need. Without it they say what they skip. */
export async function pythonPackages() {
  if (!existsSync(REQUIREMENTS)) return;
  const wanted = createHash("sha256").update(readFileSync(REQUIREMENTS)).update(VENV).digest("hex");
  if (hasStamp(`${VENV}/installed`, wanted)) return;
  rmSync(VENV, { recursive: true, force: true });
  try {
    await step("Python virtual environment", "python3", ["-m", "venv", VENV], {
      remedy: "On Debian: apt-get install python3-venv",
    });
    await step("Python packages for the tests", `${VENV}/bin/pip`, ["install", "-q", "-r", REQUIREMENTS], {
      remedy: "Is PyPI in reach? The tests that need these packages are skipped.",
    });
    writeStamp(`${VENV}/installed`, wanted);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    rmSync(VENV, { recursive: true, force: true });
  }
}
