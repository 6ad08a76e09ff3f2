import { expect, test } from "vitest";
import { exceedsDepth } from "../../../api/contract/json-depth.ts";

test.each([
  ["{}", 1, false],
  ["[[[]]]", 3, false],
  ["[[[]]]", 2, true],
  ['{"a": [{"b": 1}, {"c": []}]}', 4, false],
  ['{"a": [{"b": 1}, {"c": []}]}', 3, true],
  ['["[[[[", "\\"[[[", "\\\\", []]', 2, false],
  ['["unclosed [[[[', 1, false],
])("%s is deeper than %i: %s", (json, limit, expected) => {
  expect(exceedsDepth(json, limit)).toBe(expected);
});
