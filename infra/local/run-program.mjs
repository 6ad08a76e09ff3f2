import { spawn } from "node:child_process";
import { constants } from "node:os";
import { PROJECT_ENV, ROOT } from "./step.mjs";

/**
 * Runs a program in the foreground with our streams, passes on signals, and resolves to its exit
 * status (128 + number if a signal ended it).
 */
export function runProgram(command, args) {
  const child = spawn(command, args, { cwd: ROOT, env: PROJECT_ENV, stdio: "inherit" });
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  process.on("SIGHUP", () => child.kill("SIGHUP"));
  // A terminal sends Ctrl-C to the program too; a second copy would read as "stop at once".
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
}
