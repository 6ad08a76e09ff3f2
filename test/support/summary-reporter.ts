import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Reporter } from "vitest/node";

/** Writes `{passed, failed, skipped: [{name, reason}]}` for `npm test`, which adds up all test runs. */
export function summaryReporter(file: string): Reporter {
  return {
    onTestRunEnd(modules, unhandledErrors) {
      const summary = { passed: 0, failed: unhandledErrors.length, skipped: [] as { name: string; reason: string }[] };
      for (const module of modules) {
        summary.failed += module.errors().length;
        for (const test of module.children.allTests()) {
          const result = test.result();
          if (result.state === "passed") summary.passed += 1;
          else if (result.state === "failed") summary.failed += 1;
          else if (result.state === "skipped") {
            const name = `${module.relativeModuleId}: ${test.fullName}`;
            summary.skipped.push({ name, reason: result.note ?? "" });
          }
        }
      }
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, JSON.stringify(summary));
    },
  };
}
