import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { loadPrompts } from "../../../native/prompt/prompt.ts";

const MODEL = new URL("../../../native/models/needle/", import.meta.url);

describe("the sample document", async () => {
  const document = await readFile(new URL("sample/document.txt", MODEL), "utf8");
  const questions: { question: string; expected: string }[] = JSON.parse(
    await readFile(new URL("sample/questions.json", MODEL), "utf8"),
  );

  it("makes a prompt of more than 9,000 and at most 10,500 tokens", async () => {
    const prompts = await loadPrompts(fileURLToPath(MODEL));
    for (const { question } of questions) {
      const { length } = await prompts.encode({ document, question });
      expect(length).toBeGreaterThan(9_000);
      expect(length).toBeLessThanOrEqual(10_500);
    }
  });

  it("states every sentence of the expected answers, in order", () => {
    for (const { expected } of questions) {
      const places = expected.split(/(?<=\.) /).map((sentence) => document.indexOf(` ${sentence}`));
      expect(places).not.toContain(-1);
      expect(places).toEqual(places.toSorted((a, b) => a - b));
    }
  });
});
