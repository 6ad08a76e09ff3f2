import { describe, expect, it } from "vitest";
import { parseRetryAfter } from "../../../api/contract/retry-after.ts";

describe("parseRetryAfter", () => {
  const nowMs = Date.parse("Tue, 24 Nov 2026 20:00:00 GMT");
  it.each([
    ["120", 120_000],
    ["Tue, 24 Nov 2026 20:01:00 GMT", 60_000],
    ["Tue, 24 Nov 2026 19:00:00 GMT", 0],
    ["soon", null],
    ["-5", null],
    [undefined, null],
  ])("%s", (value, expected) => {
    expect(parseRetryAfter(value, nowMs)).toEqual(expected);
  });
});
