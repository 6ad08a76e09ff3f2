import { describe, expect, it } from "vitest";
import { settledLength, stopIndex } from "../../native/stop-strings.ts";

describe("the end of a text at a stop string", () => {
  it.each([
    ["one two", ["three"], -1],
    ["one two two", ["two"], 4],
    ["one two", ["two", "one"], 0],
    // "b" is complete before "abcd" is.
    ["xabcd", ["abcd", "b"], 2],
    ["xab", ["b", "ab"], 1],
    ["one", [], -1],
  ])("of %j with %j is %j", (text, stop, index) => {
    expect(stopIndex(text, stop)).toBe(index);
  });
});

describe("what stays of an unfinished text", () => {
  it.each([
    ["one ENDIN", ["ENDING"], 4],
    ["one E", ["ENDING", "one E!"], 0],
    ["aaab", ["aab!"], 1],
    ["one", ["two"], 3],
    ["one two three", ["two"], 4],
    ["one", [], 3],
    ["", ["x"], 0],
  ])("of %j with %j are %j characters", (text, stop, length) => {
    expect(settledLength(text, stop)).toBe(length);
  });

  it.each([
    ["the answer is 42.\n\nNext question", ["\n\n", "Next"]],
    ["xabcabcabd and more", ["abcabd", "cab"]],
    ["aaaaaaaaab", ["aab", "b"]],
    ["no stop at all", ["zebra"]],
  ])("is always the beginning of what stays in the end: %j with %j", (text, stop) => {
    const end = stopIndex(text, stop);
    const final = end < 0 ? text : text.slice(0, end);
    for (let length = 0; length <= text.length; length++) {
      const shown = text.slice(0, settledLength(text.slice(0, length), stop));
      expect(final.startsWith(shown)).toBe(true);
    }
  });
});
