import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { startLiveness } from "../../../worker/host/liveness.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const HEALTH = fileURLToPath(new URL("../../../infra/containers/health.mjs", import.meta.url));

const check = (file: string) =>
  promisify(execFile)(process.execPath, [HEALTH], { env: { GNOMON_LIVENESS_FILE: file } }).then(
    () => "healthy",
    ({ stderr }) => stderr as string,
  );

describe("the liveness file", () => {
  it("is written again and again, and makes the health check pass", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "alive");
    const liveness = await startLiveness({ file, everyMs: 5, now: Date.now });
    const first = await readFile(file, "utf8");
    await expect.poll(() => readFile(file, "utf8")).not.toBe(first);
    await liveness.stop();
    expect(await check(file)).toBe("healthy");
  });

  it("fails the health check when it is old, or missing", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "alive");
    expect(await check(file)).toContain("ENOENT");
    await writeFile(file, `${Date.now() - 120_000}\n`);
    expect(await check(file)).toMatch(/was written 1\d\d s ago/);
  });

  it("must be writable from the start", async () => {
    await expect(startLiveness({ file: "/nowhere/alive", everyMs: 5, now: Date.now })).rejects.toThrow("ENOENT");
  });
});
