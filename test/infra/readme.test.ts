import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { limits } from "../../api/contract/limits.ts";
import { Settings } from "../../infra/cdk/settings.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const readme = await readFile(`${ROOT}infra/README.md`, "utf8");
/** What stands between backquotes or in a fenced block, a line each. */
const code = [...readme.matchAll(/^```sh\n(.*?)^```/gms), ...readme.matchAll(/`([^`\n]+)`/g)]
  .flatMap(([, text = ""]) => text.replaceAll("\\\n", " ").split("\n"))
  .map((line) => line.replace(/\s+#.*$/, "").trim());

describe("the guide to running Gnomon", () => {
  it("names settings of the stack that exist", () => {
    const named = code.flatMap((line) => [...line.matchAll(/-c (?!name=value)(\w+)=/g)].map(([, name]) => name));
    expect(named.length).toBeGreaterThan(3);
    expect(Object.keys(Settings.shape)).toEqual(expect.arrayContaining(named));
  });

  it("names environment variables and limits that a source of the project has", async () => {
    const names = new Set(readme.match(/\bGNOMON_[A-Z_]+\b/g));
    const env = await readFile(`${ROOT}api/contract/env.ts`, "utf8");
    expect([...names].filter((name) => !env.includes(name))).toEqual([]);
    const inCode = code.filter((line) => /^[a-z]+[A-Z]\w*Ms$/.test(line));
    expect(Object.keys(limits)).toEqual(expect.arrayContaining(inCode));
  });

  it("names every folder that there is", async () => {
    const folders = (await readdir(`${ROOT}infra`, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    for (const { name } of folders) expect(readme).toMatch(new RegExp(`^\\| \`${name}[/\`]`, "m"));
  });
});
