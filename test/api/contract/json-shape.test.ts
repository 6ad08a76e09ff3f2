import { expect, test } from "vitest";
import { jsonFault } from "../../../api/contract/json-shape.ts";

test.each([
  ["{}", 1, null],
  ["[[[]]]", 3, null],
  ["[[[]]]", 2, "depth"],
  ['{"a": [{"b": 1}, {"c": []}]}', 4, null],
  ['{"a": [{"b": 1}, {"c": []}]}', 3, "depth"],
  ['["[[[[", "\\"[[[", "\\\\", []]', 2, null],
  ['["unclosed [[[[', 1, null],
])("of %s at a depth of %i: %j", (json, depth, fault) => {
  expect(jsonFault(json, { depth, values: 100 })).toBe(fault);
});

test.each([
  ["[1,2,3]", 3, null],
  ["[1,2,3]", 2, "values"],
  ['{"a":[1,2],"b":{"c":1}}', 3, null],
  ['{"a":[1,2],"b":{"c":1}}', 2, "values"],
  ['["1,2,3,4"]', 1, null],
])("of %s with %i values: %j", (json, values, fault) => {
  expect(jsonFault(json, { depth: 10, values })).toBe(fault);
});
