import { describe, expect, test } from "vitest";
import { outlineOf, splitText } from "../../../../api/client/summarize/split-text.ts";

const bytes = (text: string) => Buffer.byteLength(text);
const split = (text: string, max: number) => splitText(text, max, bytes);

describe("a text is cut", () => {
  test("not at all if it fits", () => {
    expect(split("# A\nshort\n# B\nshort", 100)).toEqual(["# A\nshort\n# B\nshort"]);
  });

  test("at the highest headings, with neighbours together while they fit", () => {
    expect(split("intro\n# A\none\n## A1\ntwo\n# B\nthree\n", 24)).toEqual([
      "intro\n# A\none\n## A1\ntwo\n",
      "# B\nthree\n",
    ]);
  });

  test("at lower headings only where a higher section is too long", () => {
    const sections = split("# A\n## A1\naaaaaaaa\n## A2\nbbbbbbbb\n# B\nc\n", 20);
    expect(sections).toEqual(["# A\n## A1\naaaaaaaa\n", "## A2\nbbbbbbbb\n", "# B\nc\n"]);
  });

  test("not at a number sign within a code block", () => {
    const code = "```sh\n# no heading\nls\n```\n";
    expect(split(`# A\n${code}# B\nb\n`, 34)).toEqual([`# A\n${code}`, "# B\nb\n"]);
  });

  test("at paragraphs, then lines, then sentences, then words, then characters", () => {
    expect(split("one two.\n\nthree.\n", 10)).toEqual(["one two.\n\n", "three.\n"]);
    expect(split("line one\nline two\n", 9)).toEqual(["line one\n", "line two\n"]);
    expect(split("He came. She went.", 10)).toEqual(["He came. ", "She went."]);
    expect(split("alpha beta", 7)).toEqual(["alpha ", "beta"]);
    expect(split("abcdef", 4)).toEqual(["abcd", "ef"]);
  });

  test("never within a character, and with nothing lost", () => {
    const text = "# Ü\n\nÄäÄäÄäÄä 😀😀😀😀 und so weiter. Noch ein Satz!\r\n\r\n\tEnde\n".repeat(20);
    for (const max of [4, 7, 16, 50, 333]) {
      const sections = split(text, max);
      expect(sections.join("")).toBe(text);
      expect(Math.max(...sections.map(bytes))).toBeLessThanOrEqual(max);
      expect(sections.join("")).not.toContain("\ufffd");
    }
  });
});

test("the outline is the headings in their order, as many as there is room for", () => {
  const text = "# One\ntext\n## Two\n#### too deep\n# Three\n";
  expect(outlineOf(text, 100)).toEqual(["# One", "## Two", "# Three"]);
  expect(outlineOf(text, 13)).toEqual(["# One", "## Two"]);
});
