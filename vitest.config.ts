import { defineConfig } from "vitest/config";
import { PATIENCE_MS } from "./test/support/patience.ts";
import { summaryReporter } from "./test/support/summary-reporter.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A process of its own for each file: the addon's threads end with it, and a crash fails one file only.
    pool: "forks",
    maxWorkers: 2,
    // For what hangs; nothing here asserts how long it takes.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: PATIENCE_MS } },
    // Processes, leases and heartbeats run in real time here: a machine that stalls one is no failure of theirs. `npm test`
    // names every test that needed it.
    retry: 1,
    reporters: ["default", summaryReporter(".build/test/vitest.json")],
  },
});
