import { expect, test } from "vitest";
import { isLoopback } from "../../../api/http/loopback.ts";

test.each(["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost"])("%s is this machine only", (host) => {
  expect(isLoopback(host)).toBe(true);
});

test.each([
  "0.0.0.0",
  "::",
  "192.168.1.5",
  "10.0.0.1",
  "fd00::1",
  "gpu-box",
  "localhost.evil.example",
  "128.0.0.1",
  "",
])("%j may be reached by others", (host) => {
  expect(isLoopback(host)).toBe(false);
});
