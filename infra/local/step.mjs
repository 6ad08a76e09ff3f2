import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
export const BUILD = `${ROOT}/.build`;

/** For programs of the project: `node` is the pinned one, and the installed tools are found by name. */
export const PROJECT_ENV = { ...process.env, PATH: `${ROOT}/node_modules/.bin${delimiter}${process.env.PATH}` };

/** Something that the person at the keyboard has to put right; shown without a stack trace. */
export class SetupError extends Error {}

/** Set-up talks on stderr only: stdout belongs to the program that was asked for. */
export function say(line) {
  process.stderr.write(`[setup] ${line}\n`);
}

/**
 * Runs a command to its end. `output` holds stdout and stderr together, which are shown as well with
 * `echo`; a command that cannot be started has status 127.
 */
export function run(command, args, { env = process.env, echo = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const collect = (chunk) => {
      output += chunk;
      if (echo) process.stdout.write(chunk);
    };
    child.stdout.setEncoding("utf8").on("data", collect);
    child.stderr.setEncoding("utf8").on("data", collect);
    child.on("error", (error) => resolve({ status: 127, output: error.message }));
    child.on("close", (code) => resolve({ status: code ?? 1, output }));
  });
}

/** Runs one step of the set-up, without a word if it is quick. If it fails, says what failed, how it ended and what to do. */
export async function step(what, command, args, { remedy, ...options }) {
  const started = Date.now();
  const announcement = setTimeout(() => say(`${what} ...`), 500);
  const { status, output } = await run(command, args, options);
  clearTimeout(announcement);
  if (status !== 0) throw new SetupError(failure(what, [command, ...args], output, remedy));
  const seconds = (Date.now() - started) / 1000;
  if (seconds > 0.5) say(`${what}: done in ${seconds.toFixed(1)} s`);
}

export function failure(what, commandLine, output, remedy) {
  const tail = output.trimEnd().split("\n").slice(-40);
  return [`[setup] failed: ${what}`, `$ ${commandLine.join(" ")}`, ...tail, `[setup] ${remedy}`].join("\n");
}

export function hasStamp(file, content) {
  try {
    return readFileSync(file, "utf8") === content;
  } catch {
    return false;
  }
}

export function writeStamp(file, content) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}
