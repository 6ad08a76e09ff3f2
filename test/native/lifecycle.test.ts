import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { NEEDLE_DIR } from "./support/needle.ts";

const SCENARIOS = fileURLToPath(new URL("support/lifecycle-scenarios.ts", import.meta.url));
const GIVE_UP_MS = 60_000;

type Ending = { code: number | null; signal: string | null; stdout: string; stderr: string };

/** Runs a scenario as a process of its own and says how it ended. A crash is a signal, a hang is SIGKILL. */
function run(scenario: string, ...flags: string[]): Promise<Ending> {
  const args = [...flags, SCENARIOS, scenario, NEEDLE_DIR];
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      { timeout: GIVE_UP_MS, killSignal: "SIGKILL" },
      (_error, stdout, stderr) => {
        resolve({ code: child.exitCode, signal: child.signalCode, stdout: stdout.trim(), stderr });
      },
    );
  });
}

const ended = (code: number, stdout = "") => ({ code, signal: null, stdout, stderr: "" });

describe.concurrent("a process ends cleanly", { timeout: GIVE_UP_MS + 5_000 }, () => {
  test.each([
    ["idle engine", ended(0)],
    ["request in flight", ended(0, "30 tokens")],
    ["exit mid-load", ended(7)],
    ["exit mid-prefill", ended(7)],
    ["exit mid-decode", ended(7)],
    ["exit mid-close", ended(7)],
    ["thread ends with an idle engine", ended(0)],
    ["thread exits mid-decode", ended(0, "code 7")],
    ["threads terminated mid-load", ended(0)],
    ["threads terminated mid-decode", ended(0)],
    ["threads terminated mid-close", ended(0)],
    ["exit while threads decode", ended(7)],
  ])("%s", async (scenario, expected) => {
    expect(await run(scenario)).toEqual(expected);
  });

  test("uncaught error mid-decode", async () => {
    const ending = await run("uncaught error mid-decode");
    expect(ending).toMatchObject({ code: 1, signal: null, stderr: expect.stringContaining("thrown on purpose") });
  });

  test("engines collected", async () => {
    expect(await run("engines collected", "--expose-gc")).toEqual(ended(0, "5 collected"));
  });
});
