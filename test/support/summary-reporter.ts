import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Reporter } from "vitest/node";

type Named = { name: string; reason: string };

/** Writes `{passed, failed, unsteady, skipped}` for `npm test`, which adds up all test runs; the last two with their names. */
export function summaryReporter(file: string): Reporter {
  return {
    onTestRunEnd(modules, unhandledErrors) {
      const summary = {
        passed: 0,
        failed: unhandledErrors.length,
        unsteady: [] as Named[],
        skipped: [] as Named[],
      };
      for (const module of modules) {
        summary.failed += module.errors().length;
        for (const test of module.children.allTests()) {
          const result = test.result();
          const name = `${module.relativeModuleId}: ${test.fullName}`;
          if (test.diagnostic()?.flaky) {
            summary.unsteady.push({ name, reason: `passed when run again; ${result.errors?.[0]?.message ?? ""}` });
          }
          if (result.state === "passed") summary.passed += 1;
          else if (result.state === "failed") summary.failed += 1;
          else if (result.state === "skipped") summary.skipped.push({ name, reason: result.note ?? "" });
        }
      }
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, JSON.stringify(summary));
    },
  };
}
