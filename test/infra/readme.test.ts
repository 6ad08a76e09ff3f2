import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { limits } from "../../api/contract/limits.ts";
import { Settings } from "../../infra/cdk/settings.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const readme = await readFile(`${ROOT}infra/README.md`, "utf8");
const { scripts } = JSON.parse(await readFile(`${ROOT}package.json`, "utf8")) as { scripts: Record<string, string> };

/** What stands between backquotes or in a fenced block, a line each. */
const code = [...readme.matchAll(/^```sh\n(.*?)^```/gms), ...readme.matchAll(/`([^`\n]+)`/g)]
  .flatMap(([, text = ""]) => text.replaceAll("\\\n", " ").split("\n"))
  .map((line) => line.replace(/\s+#.*$/, "").trim());

async function textBehind(script: string): Promise<string> {
  const entry = /run (\S+)/.exec(scripts[script] ?? "")?.[1] ?? "";
  return readFile(`${ROOT}${entry}`, "utf8");
}

describe("the guide to running Gnomon", () => {
  it("names scripts of npm that exist, with options that they have", async () => {
    const calls = code.flatMap((line) => [...line.matchAll(/npm run ([\w:-]+)(?: -- (.*?))?(?:;|$|")/g)]);
    expect(calls.length).toBeGreaterThan(5);
    for (const [, script = "", options = ""] of calls) {
      expect(Object.keys(scripts)).toContain(script);
      const source = options.includes("--") ? await textBehind(script) : "";
      for (const [, option = ""] of options.matchAll(/--([\w-]+)/g))
        expect(source, `${script} --${option}`).toMatch(new RegExp(`["\\s-]${option}\\b`));
    }
  });

  it("names files and folders that exist", () => {
    const paths = code.flatMap((line) =>
      [...line.matchAll(/(?:^|[\s=])((?:infra|native|worker|api|test)\/[\w./-]*\w)/g)].map(([, path = ""]) => path),
    );
    const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, path = ""]) => `infra/${path}`);
    expect(paths.length).toBeGreaterThan(5);
    expect([...paths, ...links].filter((path) => !existsSync(`${ROOT}${path}`))).toEqual([]);
  });

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
