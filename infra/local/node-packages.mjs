import { existsSync, lstatSync, readFileSync } from "node:fs";
import { delimiter } from "node:path";
import { ROOT, SetupError, step } from "./step.mjs";

const MODULES = `${ROOT}/node_modules`;
const NODE_MAJOR = 24;

// What `npm ci` would install, but without emptying node_modules under a service that may be running.
const INSTALL = ["install", "--no-save", "--include=dev", "--include=optional", "--loglevel=error"];

/** Installs what package-lock.json names, unless that is what is there. Returns the Node to run the project with. */
export async function nodePackages() {
  if (!isInstalled()) {
    const [command, args] = npmCommand();
    await step("Node packages (npm install)", command, [...args, ...INSTALL], {
      env: { ...process.env, PATH: systemPath() },
      remedy: "Is the npm registry in reach? After that, run the same command again.",
    });
  }
  return pinnedNode();
}

/** npm keeps a record of what it installed, written last; it is compared with the lock file, package by package. */
function isInstalled() {
  // A linked node_modules belongs to another checkout: never changed from here.
  if (lstatSync(MODULES, { throwIfNoEntry: false })?.isSymbolicLink()) return true;
  const record = `${MODULES}/.package-lock.json`;
  if (!existsSync(record)) return false;
  const installed = JSON.parse(readFileSync(record, "utf8")).packages;
  const { "": _project, ...locked } = JSON.parse(readFileSync(`${ROOT}/package-lock.json`, "utf8")).packages;
  return (
    Object.entries(installed).every(([path, { optional }]) => path in locked || optional) &&
    Object.entries(locked).every(([path, { version, optional }]) =>
      path in installed ? installed[path].version === version : optional,
    )
  );
}

/** npm by the Node that started it: the Node in node_modules is about to be replaced. */
function npmCommand() {
  const { npm_node_execpath: node, npm_execpath: npm } = process.env;
  return node && npm && !node.startsWith(MODULES) ? [node, [npm]] : ["npm", []];
}

function systemPath() {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => !folder.startsWith(MODULES))
    .join(delimiter);
}

function pinnedNode() {
  const pinned = `${MODULES}/.bin/node`;
  if (existsSync(pinned)) return pinned;
  if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR) return process.execPath;
  throw new SetupError(
    `[setup] Gnomon runs on Node ${NODE_MAJOR}, this is Node ${process.versions.node}, and there is no package ` +
      `node-${process.platform}-${process.arch} in node_modules: run \`npm ci --include=optional\`, or put Node ${NODE_MAJOR} first on PATH.`,
  );
}
