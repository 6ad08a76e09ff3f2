import { defineConfig } from "vitest/config";
import { summaryReporter } from "./test/support/summary-reporter.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A process of its own for each file: the addon's threads end with it, and a crash fails one file only.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // Processes, leases and heartbeats run in real time here: a machine that stalls one is no failure of theirs.
    retry: 1,
    reporters: ["default", summaryReporter(".build/test/vitest.json")],
  },
});
