import { expect, it } from "vitest";
import { formatLogLine } from "../../../infra/local/log-line.ts";

it("makes a line to read of a JSON line of a log", () => {
  const line = JSON.stringify({ level: 30, time: 45_296_000, name: "api", status: 200, path: "/v1", msg: "request" });
  expect(formatLogLine("api", line)).toBe("12:34:56 api | info request status=200 path=/v1");
});

it("shows the stack of an error below its line", () => {
  const err = { message: "no", stack: "Error: no\n    at here" };
  const line = JSON.stringify({ level: 50, time: 0, name: "worker", err, msg: "failed" });
  expect(formatLogLine("worker", line)).toBe("00:00:00 worker | error failed\n    Error: no\n        at here");
});

it.each(["plain words", "{broken", "7", '{"a":1}'])("leaves any other line as it is: %s", (line) => {
  expect(formatLogLine("worker", line)).toBe(`worker | ${line}`);
});
