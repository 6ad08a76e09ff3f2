import { expect, test } from "vitest";
import { anyOf, counted } from "../../../api/contract/counted.ts";

test("one is counted in the singular, everything else in the plural", () => {
  expect([0, 1, 2, 1_000].map((value) => counted(value, "line"))).toEqual([
    "0 lines",
    "1 line",
    "2 lines",
    "1,000 lines",
  ]);
  expect(counted(2, "log-probability", "log-probabilities")).toBe("2 log-probabilities");
});

test("a choice is read as a sentence has it", () => {
  expect([["a"], ["a", "b"], ["a", "b", "c"]].map(anyOf)).toEqual(["a", "a or b", "a, b or c"]);
});
