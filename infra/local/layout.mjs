import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { ROOT } from "./step.mjs";

const TOP_LEVEL = new Set(["README.md", "package.json", "tsconfig.json", "api", "worker", "native", "infra", "test"]);
const TOOL_CONFIGS = new Set(["package-lock.json", "biome.json", "knip.json", "vitest.config.ts"]);

/** What each folder of native/ may include of the others, besides its own files. */
const NATIVE_INCLUDES = {
  engine: [],
  cpu: ["engine"],
  cuda: ["engine"],
  addon: ["engine"],
};

/** Rules of the tree that no other linter knows: the top level, the licence, the lock file, and who includes whom in native/. */
export function layoutProblems(files) {
  return [...topLevelProblems(files), ...licenceProblems(), ...lockProblems(), ...includeProblems(files)];
}

function topLevelProblems(files) {
  const top = new Set(files.map((file) => file.split("/")[0]));
  return [...top]
    .filter((name) => !name.startsWith(".") && !TOP_LEVEL.has(name) && !TOOL_CONFIGS.has(name))
    .map((name) => `${name}: not one of the folders and files that the top level holds`);
}

function licenceProblems() {
  const { license } = JSON.parse(readFileSync(`${ROOT}/package.json`, "utf8"));
  const text = readFileSync(`${ROOT}/.licenses/Apache-2.0.txt`, "utf8");
  return license === "Apache-2.0" && text.includes("Apache License")
    ? []
    : ["package.json and .licenses/Apache-2.0.txt do not agree on the licence"];
}

function lockProblems() {
  const project = JSON.parse(readFileSync(`${ROOT}/package.json`, "utf8"));
  const locked = JSON.parse(readFileSync(`${ROOT}/package-lock.json`, "utf8")).packages[""];
  return ["dependencies", "devDependencies", "optionalDependencies"]
    .filter((kind) => !isDeepStrictEqual(project[kind], locked[kind]))
    .map((kind) => `package-lock.json: its ${kind} are not those of package.json; run npm install`);
}

function includeProblems(files) {
  const problems = [];
  for (const file of files) {
    const folder = /^native\/(\w+)\/.*\.(cpp|h|cu|cuh)$/.exec(file)?.[1];
    const allowed = NATIVE_INCLUDES[folder];
    if (allowed === undefined) continue;
    for (const [, header] of readFileSync(`${ROOT}/${file}`, "utf8").matchAll(/^#include ["<]([^">]+)[">]/gm)) {
      const from = header.includes("/") ? header.split("/")[0] : folder;
      const foreign = from in NATIVE_INCLUDES && from !== folder && !allowed.includes(from);
      if (foreign || (header === "napi.h" && folder !== "addon")) problems.push(`${file}: may not include ${header}`);
    }
  }
  return problems;
}
