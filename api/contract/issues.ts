import type { z } from "zod";
import { counted } from "./counted.ts";
import { limits } from "./limits.ts";

type Issue = z.core.$ZodIssue;

/** The offending fields of what a client sent, with what to do about each: as many of them as somebody may want to read. */
export const describeIssues = (issues: readonly Issue[]): { field: string; detail: string }[] =>
  issues.slice(0, limits.shownIssues).flatMap(describe).slice(0, limits.shownIssues);

/** `["questions", 3]` → `questions[3]`; the whole body is `body`. */
function fieldPath(path: readonly PropertyKey[]): string {
  const joined = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${shown(key)}`)).join("");
  return joined.replace(/^\./, "") || "body";
}

/** A name may be as long as the body it came in, and what is said of it is stored, and sent back. */
function shown(key: PropertyKey): string {
  const name = String(key);
  return name.length <= limits.shownNameCharacters ? name : `${name.slice(0, limits.shownNameCharacters)}…`;
}

function describe(issue: Issue): { field: string; detail: string }[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.slice(0, limits.shownIssues).map((key) => ({
      field: fieldPath([...issue.path, key]),
      detail: "is not a known field: remove it",
    }));
  }
  return [{ field: fieldPath(issue.path), detail: remedy(issue) }];
}

function remedy(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.message.endsWith("received undefined")
        ? `is missing: give ${aOrAn(issue.expected)}`
        : `must be ${aOrAn(issue.expected)}`;
    case "too_small":
      return isLength(issue)
        ? Number(issue.minimum) === 1
          ? "must not be empty"
          : `must have at least ${counted(Number(issue.minimum), unit(issue))}`
        : `must be ${issue.inclusive ? "at least" : "greater than"} ${issue.minimum}`;
    case "too_big":
      return isLength(issue)
        ? `must have at most ${counted(Number(issue.maximum), unit(issue))}`
        : `must be ${issue.inclusive ? "at most" : "less than"} ${issue.maximum}`;
    case "invalid_value":
      // Unless the schema has better words.
      return issue.message.startsWith("Invalid ") ? `must be ${oneOf(issue.values)}` : issue.message;
    case "invalid_format":
      return issue.message === "Invalid URL" ? "must be an address, such as https://example.com" : issue.message;
    case "invalid_key":
      return `has a name that ${issue.issues[0] ? remedy(issue.issues[0]) : "is not valid"}`;
    default:
      return issue.message;
  }
}

const aOrAn = (type: string): string =>
  (/^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`).replace(/\bint\b/, "integer");
function oneOf(values: readonly unknown[]): string {
  const names = values.map((value) => `\`${String(value)}\``);
  return names.length === 1 ? String(names[0]) : `one of ${names.join(", ")}`;
}
const isLength = ({ origin }: { origin: string }): boolean => origin === "string" || origin === "array";
const unit = ({ origin }: { origin: string }): string => (origin === "string" ? "character" : "item");
