import { expect, test } from "vitest";
import { z } from "zod";
import { describeIssues } from "../../../api/contract/issues.ts";
import { limits } from "../../../api/contract/limits.ts";

const issuesOf = (schema: z.ZodType, value: unknown) => schema.safeParse(value).error?.issues ?? [];

test("a field is named by its path, with what to do about it", () => {
  const schema = z.strictObject({ questions: z.array(z.strictObject({ text: z.string() })) });
  expect(describeIssues(issuesOf(schema, { questions: [{ text: "a" }, { text: 1, more: 2 }] }))).toEqual([
    { field: "questions[1].text", detail: "must be a string" },
    { field: "questions[1].more", detail: "is not a known field: remove it" },
  ]);
});

test("what is said stays short, however long a name and however many of them were sent", () => {
  const [long] = describeIssues(issuesOf(z.strictObject({}), { ["k".repeat(1_000_000)]: 1 }));
  expect(long?.field).toBe(`${"k".repeat(limits.shownNameCharacters)}…`);
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`key-${index}`, 1]));
  expect(describeIssues(issuesOf(z.strictObject({}), many))).toHaveLength(limits.shownIssues);
  expect(describeIssues(issuesOf(z.array(z.string()), Array(10_000).fill(1)))).toHaveLength(limits.shownIssues);
});
