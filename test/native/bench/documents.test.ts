import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { makeDocuments, TASKS } from "../../../native/bench/documents.ts";
import { loadPrompts } from "../../../native/prompt/prompt.ts";

const MODEL_DIR = fileURLToPath(new URL("../../../native/models/needle", import.meta.url));
const SEED = 11;

describe("documents of the evaluation", () => {
  it("are the same for the same seed and others for another", async () => {
    const [first, again, other] = await Promise.all([
      makeDocuments("niah", 1024, 2, SEED),
      makeDocuments("niah", 1024, 2, SEED),
      makeDocuments("niah", 1024, 2, SEED + 1),
    ]);
    expect(again).toEqual(first);
    expect(first[0]?.document).not.toBe(first[1]?.document);
    expect(other[0]?.document).not.toBe(first[0]?.document);
  });

  it.each(TASKS)("make %s prompts of the length asked for, within three percent", async (task) => {
    const prompts = await loadPrompts(MODEL_DIR);
    for (const made of await makeDocuments(task, 4096, 8, SEED)) {
      const { length } = await prompts.encode(made);
      expect(Math.abs(length / 4096 - 1)).toBeLessThan(0.03);
    }
  });

  it("hold the fact that is asked for, once", async () => {
    for (const { document, answer } of await makeDocuments("fact", 2048, 20, SEED)) {
      expect(document.split(` ${answer}`)).toHaveLength(2);
    }
  });

  it("hold the value of the key that is asked for", async () => {
    for (const { document, question, answer } of await makeDocuments("niah", 2048, 20, SEED)) {
      const key = /number for (\S+) mentioned/.exec(question)?.[1];
      const value = answer.split(": ")[1];
      expect(document).toContain(` One of the special magic numbers for ${key} is: ${value}`);
    }
  });

  it("hold all decisions in the order of their numbers, and no others", async () => {
    for (const { document, answer } of await makeDocuments("decisions", 2048, 20, SEED)) {
      const found = document.match(/Decision \d: the board will [a-z]+ the [a-z]+ [a-z]+ by [A-Z][a-z]+\./g);
      expect(found?.join(" ")).toBe(answer);
    }
  });

  it("do not hold the key of a question without an answer", async () => {
    for (const { document, question, answer } of await makeDocuments("absent", 2048, 20, SEED)) {
      expect(document).not.toContain(`numbers for ${/number for (\S+) mentioned/.exec(question)?.[1]} is`);
      expect(answer).toBe("The provided text does not mention it.");
    }
  });

  it("chain all variables of an answer back to the value that is asked for", async () => {
    for (const { document, question, answer } of await makeDocuments("variable_tracking", 2048, 20, SEED)) {
      const value = /the value (\d+) in/.exec(question)?.[1];
      const variables = answer.slice(answer.indexOf(": ") + 2, -1).split(", ");
      const chain = variables.map((name, i) => `VAR ${name} = ${i === 0 ? value : `VAR ${variables[i - 1]}`}.`);
      const places = chain.map((sentence) => document.indexOf(` ${sentence}`));
      expect(places).not.toContain(-1);
      expect(places).toEqual(places.toSorted((a, b) => a - b));
    }
  });
});
