import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const WITH_SETUP = fileURLToPath(new URL("../../../infra/local/with-setup.mjs", import.meta.url));

let folder: string;
let program: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gnomon-"));
  program = join(folder, "program.ts");
  await writeFile(
    program,
    `const args: string[] = process.argv.slice(2);
     process.on("SIGTERM", () => process.exit(5));
     console.log(JSON.stringify({ major: Number.parseInt(process.versions.node, 10), args }));
     if (args[0] === "wait") setInterval(() => {}, 1000);
     else process.exitCode = 3;`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

function start(...args: string[]) {
  const child = spawn(process.execPath, [WITH_SETUP, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  return { child, stdout: text(child.stdout), stderr: text(child.stderr) };
}

async function exitStatus(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, "close");
  return code;
}

// Minutes, since the set-up builds what was edited while the tests ran.
describe("npm scripts", { timeout: 300_000 }, () => {
  it("run a program on Node 24 or newer, with nothing else on stdout, and pass on its exit status", async () => {
    const { child, stdout } = start("run", program, "--json", "a b");
    expect(await exitStatus(child)).toBe(3);
    const printed = JSON.parse(await stdout);
    expect(printed.major).toBeGreaterThanOrEqual(24);
    expect(printed.args).toEqual(["--json", "a b"]);
  });

  it("pass on SIGTERM and wait for the program's own end", async () => {
    const { child } = start("run", program, "wait");
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    expect(await exitStatus(child)).toBe(5);
  });

  it("answer an unknown command with one line of usage", async () => {
    const { child, stderr } = start("fly");
    expect(await exitStatus(child)).toBe(1);
    expect((await stderr).trim()).toMatch(/^usage: .*$/);
  });
});
