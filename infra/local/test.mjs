import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { RELEASE_TESTS, SANITIZED_TESTS } from "./native-build.mjs";
import { runProgram } from "./run-program.mjs";
import { BUILD, ROOT, run } from "./step.mjs";

/**
 * Runs the C++ tests, optimised and under sanitizers, then the TypeScript tests; given filters, only
 * the TypeScript tests that match. Ends with one line that counts them all. Resolves to the exit status.
 */
export async function test(node, filters) {
  const results = [];
  if (filters.length === 0) {
    results.push(await nativeTests("C++ tests", RELEASE_TESTS));
    results.push(await nativeTests("C++ tests with sanitizers", SANITIZED_TESTS));
  }
  results.push(await typescriptTests(node, filters));

  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  const skipped = results.flatMap((result) => result.skipped);
  for (const { name, reason } of skipped) console.log(`skipped: ${name}${reason ? ` (${reason})` : ""}`);
  // A test that fails at times has found something, or waits for too little.
  for (const { name, reason } of results.flatMap((result) => result.unsteady ?? []))
    console.log(`unsteady: ${name} (${reason})`);
  console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`);
  return failed === 0 ? 0 : 1;
}

async function nativeTests(title, executable) {
  console.log(`\n${title}`);
  const { status, output } = await run(executable, ["--force-colors=false"], { echo: true });
  const counts = output.match(/test cases: *\d+ \| *(\d+) passed \| *(\d+) failed/);
  const failed = Number(counts?.[2] ?? 0);
  return {
    passed: Number(counts?.[1] ?? 0),
    // A crash, or a sanitizer's report, ends the run before or after doctest has counted.
    failed: status !== 0 && failed === 0 ? 1 : failed,
    skipped: await skippedNativeTests(executable, title),
  };
}

async function skippedNativeTests(executable, title) {
  const { output } = await run(executable, ["--list-test-cases", "--no-skip", "--reporters=xml"]);
  const cases = output.matchAll(/<TestCase name="([^"]*)".* filename="([^"]*)" line="(\d+)" skipped="true"/g);
  return [...cases].map(([, name, file, line]) => ({
    name: `${title}: ${name}`,
    reason: `see ${file.replace(/^.*\/test\//, "test/")}:${line}`,
  }));
}

async function typescriptTests(node, filters) {
  console.log("\nTypeScript tests");
  const summary = `${BUILD}/test/vitest.json`;
  mkdirSync(`${BUILD}/test`, { recursive: true });
  rmSync(summary, { force: true });
  const status = await runProgram(node, [`${ROOT}/node_modules/vitest/vitest.mjs`, "run", ...filters]);
  let result = { passed: 0, failed: 0, unsteady: [], skipped: [] };
  try {
    result = JSON.parse(readFileSync(summary, "utf8"));
  } catch {
    console.error("vitest ended without a summary");
  }
  // A file that cannot be loaded, or an error outside any test, fails the run without a failed test.
  return { ...result, failed: status !== 0 && result.failed === 0 ? 1 : result.failed };
}
