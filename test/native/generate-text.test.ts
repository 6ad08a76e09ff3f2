import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateText } from "../../native/generate-text.ts";
import { type Engine, loadEngine } from "../../native/index.ts";
import { loadPrompts, type Prompts } from "../../native/prompt/prompt.ts";
import { NEEDLE_DIR } from "./support/needle.ts";

const DOCUMENT =
  "The ferry was late again on Tuesday, so the board met without its chairman. Contract KD-4417 expires on 14 March 2031. " +
  "After the tea the secretary read a letter from the school, which wants to bring twenty children to the lamp.";
const ANSWER = "Contract KD-4417 expires on 14 March 2031.";

let engine: Engine;
let prompts: Prompts;
let tokens: Uint32Array;
beforeAll(async () => {
  engine = await loadEngine({ modelDir: NEEDLE_DIR, maxBatch: 2 });
  prompts = await loadPrompts(NEEDLE_DIR);
  tokens = await prompts.encode({ document: DOCUMENT, question: "When does contract KD-4417 expire?" });
});
afterAll(() => engine.close());

const ask = (stop: string[], more = {}) =>
  generateText({ engine, decode: prompts.decode }, { tokens, maxNewTokens: 60, stop, ...more });

describe("stop strings", () => {
  test("that never come change nothing", async () => {
    expect(await ask(["zebra"])).toMatchObject({ text: ANSWER, finishReason: "stop" });
    expect(await ask([])).toMatchObject({ text: ANSWER, finishReason: "stop" });
  });

  test.each(Array.from({ length: ANSWER.length - 6 }, (_, start) => ANSWER.slice(start, start + 6)))(
    "end the text before %j, wherever tokens divide it",
    async (stop) => {
      const result = await ask(["zebra", stop]);
      expect(result.text).toBe(ANSWER.slice(0, ANSWER.indexOf(stop)));
      expect(result.finishReason).toBe("stop");
      expect(await prompts.decode(result.tokens)).toContain(stop);
      expect(await prompts.decode(result.tokens.subarray(0, -1))).not.toContain(stop);
    },
  );

  test("stop the engine, not only the text", async () => {
    const started = engine.stats().decodedTokens;
    const result = await ask(["KD"], { maxNewTokens: 2000, ignoreEos: true });
    expect(result.text).toBe("Contract ");
    expect(engine.stats().decodedTokens - started).toBeLessThan(1900);
  });
});

describe("sampling", () => {
  test("reports the logprob of every token, and the likeliest beside it", async () => {
    const { tokens: made, logprobs } = await ask([], { topLogprobs: 3 });
    expect(logprobs).toHaveLength(made.length);
    for (const [index, { logprob, top }] of logprobs?.entries() ?? []) {
      expect(top).toHaveLength(3);
      expect(top[0]).toEqual({ token: made[index], logprob });
      expect(logprob).toBeLessThanOrEqual(0);
    }
    expect(await ask([])).not.toHaveProperty("logprobs");
  });

  test("with a penalty on what the answer has had never repeats a token as often as without", async () => {
    const distinct = async (sampling: object) => {
      const result = await ask([], { sampling, ignoreEos: true, maxNewTokens: 120 });
      return new Set(result.tokens).size;
    };
    const plain = await distinct({});
    expect(await distinct({ presencePenalty: 2, frequencyPenalty: 2 })).toBeGreaterThan(plain);
    expect(await distinct({ repetitionPenalty: 50 })).toBeGreaterThan(plain);
  });

  test.each([
    ["minP", { sampling: { minP: 1.5 } }],
    ["repetitionPenalty", { sampling: { repetitionPenalty: 0 } }],
    ["presencePenalty", { sampling: { presencePenalty: 3 } }],
    ["frequencyPenalty", { sampling: { frequencyPenalty: "1" } }],
    ["topLogprobs", { topLogprobs: 21 }],
  ])("refuses %s out of range, naming it", async (name, more) => {
    await expect(ask([], more)).rejects.toMatchObject({
      code: "invalid_request",
      message: expect.stringContaining(name),
    });
  });
});
