#!/usr/bin/env node
// Runs the command on the Node that the project is pinned to, whichever Node started this. Plain JavaScript, for old ones.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const MAJOR = 24;

const source = new URL("main.ts", import.meta.url);
// Node takes no types off what is installed: a package has what `npm pack` made of the sources, and not these.
const compiled = new URL("../../../.build/command/api/client/command/main.js", import.meta.url);
const main = existsSync(source) ? source : compiled;

function pinnedNode() {
  try {
    const found = createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/package.json`);
    return join(dirname(found), "bin", "node");
  } catch {
    return undefined;
  }
}

const node = pinnedNode();
if (Number.parseInt(process.versions.node, 10) >= MAJOR) {
  await import(main.href);
} else if (node === undefined) {
  console.error(`gnomon: this is Node ${process.versions.node}; Node ${MAJOR} or newer is needed.`);
  process.exitCode = 1;
} else {
  const child = spawn(node, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: "inherit" });
  // A terminal sends Ctrl-C to both, and what it means is the command's to say.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  process.on("SIGHUP", () => child.kill("SIGHUP"));
  child.on("error", (error) => {
    console.error(`gnomon: cannot start ${node}: ${error.message}`);
    process.exitCode = 1;
  });
  child.on("close", (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
}
