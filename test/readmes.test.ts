import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
const FOLDERS = ["api", "infra", "native", "test", "worker"];
const paths = ["README.md", ...FOLDERS.flatMap((folder) => globSync(`${folder}/**/*.md`, { cwd: ROOT }))];
const pages = paths.map((path) => ({ path, text: read(path) }));

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

/** The sources that may know an option of a script of npm: its own, and those beside it. */
function sourcesOf(script: string): string {
  const entry = scripts[script]?.split(" ").at(-1) ?? "";
  return globSync(`${dirname(entry)}/*.{ts,cpp}`, { cwd: ROOT })
    .map(read)
    .join("\n");
}

describe.each(pages)("$path", ({ path, text }) => {
  it("links to files and headings that there are", () => {
    const broken = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)].filter(([, to = "", anchor]) => {
      const file = to === "" ? path : normalize(join(dirname(path), to));
      if (!existsSync(join(ROOT, file))) return true;
      if (anchor === undefined) return false;
      const headings = pages.find((page) => page.path === file)?.text.matchAll(/^#+ (.*)$/gm) ?? [];
      return ![...headings].some(([, heading = ""]) => anchorOf(heading) === anchor);
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  });

  it("names files and folders that there are", () => {
    const named = [...text.matchAll(new RegExp(`(?<![\\w./<-])(?:${FOLDERS.join("|")})/[\\w./-]*\\w`, "g"))].map(
      ([name]) => name,
    );
    const near = (name: string) => [ROOT, join(ROOT, dirname(path))].some((from) => existsSync(join(from, name)));
    expect(named.filter((name) => !near(name))).toEqual([]);
  });

  it("names scripts of npm, with options that they have", () => {
    for (const [, script = "", options = ""] of text.matchAll(/npm run ([\w:-]+)(?:\s+--\s([^`\n|]*))?/g)) {
      expect(Object.keys(scripts)).toContain(script);
      const sources = options === "" ? "" : sourcesOf(script);
      for (const [, option = ""] of options.matchAll(/--([\w-]+)/g))
        expect(sources, `${script} --${option}`).toMatch(new RegExp(`["\\s-]${option}\\b`));
    }
  });
});
