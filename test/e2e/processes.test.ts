import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startRealService } from "../support/real-service.ts";

const ROOT = new URL("../..", import.meta.url);
const run = promisify(execFile);

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gnomon-processes-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const environment = (changes: NodeJS.ProcessEnv) => ({ ...process.env, GNOMON_STATE_DIR: directory, ...changes });

function start(changes: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, ["infra/local/start.ts"], {
    cwd: ROOT,
    env: environment({ GNOMON_PORT: "0", ...changes }),
  });
  const stdout: string[] = [];
  const stderr: string[] = [];
  const out = createInterface({ input: child.stdout });
  out.on("line", (line) => stdout.push(line));
  createInterface({ input: child.stderr }).on("line", (line) => stderr.push(line));
  const closed = once(child, "close").then(([status]) => status as number);
  const listening = new Promise<string>((resolve, reject) => {
    out.on("line", (line) => line.startsWith("Gnomon listens on ") && resolve(line));
    void closed.then(() => reject(new Error(stderr.join("\n"))));
  });
  listening.catch(() => undefined);
  return { child, stdout, stderr, closed, listening };
}

async function takePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: String((server.address() as AddressInfo).port),
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

/** Process ids of what `start` runs. */
async function childrenOf(pid: number | undefined): Promise<number[]> {
  const { stdout } = await run("ps", ["-o", "pid=", "--ppid", String(pid)]);
  return stdout.trim().split(/\s+/).map(Number);
}

it("npm start says that it asks for no key as long as only this machine reaches it", async () => {
  const { child, listening, closed, stdout } = start();
  await listening;
  await expect.poll(() => stdout.join("\n")).toContain("It asks for no API key: only this machine can reach it.");
  child.kill("SIGINT");
  await closed;
});

it("npm start does not let other machines in without keys, and says what to do", async () => {
  const { closed, stderr } = start({ GNOMON_HOST: "0.0.0.0" });
  expect(await closed).toBe(1);
  expect(stderr).toEqual([
    "api: other machines can reach 0.0.0.0, and there is no API key yet: make one with " +
      "`npm run keys -- create --tenant NAME`, or listen on 127.0.0.1 (GNOMON_HOST)",
  ]);
});

it("npm start lets other machines in once there is a key, and then asks for it", async () => {
  const { stdout: key } = await run(process.execPath, ["infra/local/keys.ts", "create"], {
    cwd: ROOT,
    env: environment({}),
  });
  const { child, listening, closed } = start({ GNOMON_HOST: "0.0.0.0" });
  const url = `${/http:\S+/.exec(await listening)?.[0].replace("0.0.0.0", "127.0.0.1")}/v1/models`;
  expect((await fetch(url)).status).toBe(401);
  expect((await fetch(url, { headers: { Authorization: `Bearer ${key.trim()}` } })).status).toBe(200);
  child.kill("SIGINT");
  expect(await closed).toBe(0);
});

it("npm start says where it listens, and one Ctrl-C stops everything cleanly", async () => {
  const { child, listening, closed, stderr, stdout } = start();
  expect(await listening).toMatch(/^Gnomon listens on http:\/\/127\.0\.0\.1:\d+ \(model needle, ShadowKV on cpu\)$/);
  const pids = await childrenOf(child.pid);
  expect(pids.length).toBe(2);
  child.kill("SIGINT");
  expect(await closed).toBe(0);
  expect(stderr).toEqual([]);
  expect(stdout.filter((line) => /api stops|worker stops/.test(line)).length).toBe(2);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

it("a port in use is one clear line", async () => {
  await using taken = await takePort();
  const { closed, stderr } = start({ GNOMON_PORT: taken.port });
  expect(await closed).toBe(1);
  expect(stderr).toEqual([
    `api: port ${taken.port} of 127.0.0.1 is in use by another program: stop that, or set GNOMON_PORT`,
  ]);
});

it("a model that cannot be loaded is one clear line", async () => {
  const { closed, stderr } = start({ GNOMON_MODEL: directory });
  expect(await closed).toBe(1);
  expect(stderr.length).toBe(1);
  // Either process may be the first to say so.
  expect(stderr[0]).toMatch(/^(api|worker): .*(config|tokenizer)\.json/);
});

it("an environment that makes no sense names the variable", async () => {
  const { closed, stderr } = start({ GNOMON_GRACE_SECONDS: "soon" });
  expect(await closed).toBe(1);
  expect(stderr.join("\n")).toContain("GNOMON_GRACE_SECONDS");
});

it("a process that dies takes the other one along, with a word", async () => {
  const { child, listening, closed, stderr } = start();
  await listening;
  const [first] = await childrenOf(child.pid);
  process.kill(first ?? 0, "SIGKILL");
  expect(await closed).toBe(1);
  expect(stderr.join("\n")).toMatch(/^(api|worker) ended with SIGKILL; the other process was stopped as well\.$/);
});

it("the processes end by themselves if whoever started them is killed", async () => {
  const { child, listening } = start();
  await listening;
  const pids = await childrenOf(child.pid);
  child.kill("SIGKILL");
  const alive = () => pids.filter((pid) => isAlive(pid));
  await expect.poll(alive).toEqual([]);
});

it("a stop during a run gives the job back", async () => {
  await using service = await startRealService({ GNOMON_GRACE_SECONDS: "0" });
  const text = "The board met and went home. ".repeat(1_500);
  const response = await fetch(`${service.url}/v1/jobs`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ document: { text }, question: "When does contract AB-1234 expire?" }),
  });
  expect(response.status).toBe(202);
  await expect.poll(() => service.lines.some((line) => line.includes("job claimed"))).toBe(true);
  await service.stop();
  expect(service.lines.some((line) => line.includes("job given back"))).toBe(true);
});

it("the quickstart prints one JSON object and nothing else on stdout", { timeout: 180_000 }, async () => {
  const { stdout, stderr } = await run(process.execPath, ["infra/local/quickstart.ts", "--json"], { cwd: ROOT });
  const report = JSON.parse(stdout);
  expect(Object.keys(report)).toEqual([
    "ok",
    "answers",
    "prompt_tokens",
    "cached_tokens",
    "prefill_tokens_per_second",
    "decode_tokens_per_second",
    "kv_bytes_full",
    "kv_bytes_shadow",
    "kv_bytes_shadow_host",
  ]);
  expect(report.ok).toBe(true);
  expect(report.prompt_tokens).toBeGreaterThan(8_000);
  expect(report.answers.length).toBe(2);
  expect(stderr).toContain("prefill");
});

/** A process that has ended but that nobody has waited for yet counts as ended: in a container nobody may ever do. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch (error) {
    // No /proc, on systems other than Linux: then the signal has said it.
    return (error as NodeJS.ErrnoException).code === "ENOENT" && !existsSync("/proc/self");
  }
}
