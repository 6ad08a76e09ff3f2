import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSample, startRealService } from "../support/real-service.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

/** Packing, and an npm install with all that the package needs. */
const INSTALL_MS = 600_000;
const PATIENCE_MS = 120_000;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const run = promisify(execFile);

describe("the package that npm packs, installed into an empty folder", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let service: Awaited<ReturnType<typeof startRealService>>;
  beforeAll(async () => {
    directory = await temporaryDirectory();
    service = await startRealService();
    const { path } = directory;
    const { stdout } = await run("npm", ["pack", ROOT, "--pack-destination", path, "--silent"], { cwd: path });
    const tarball = join(path, stdout.trim().split("\n").at(-1) ?? "");
    const install = ["install", tarball, "--prefer-offline", "--no-audit", "--no-fund"];
    await writeFile(join(path, "package.json"), "{}");
    await run("npm", install, { cwd: path });
  }, INSTALL_MS);
  afterAll(async () => {
    await service?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  const gnomon = async (...args: string[]): Promise<string> => {
    const env = { ...process.env, GNOMON_URL: service.url };
    return (await run("npx", ["--no-install", "gnomon", ...args], { cwd: directory.path, env })).stdout;
  };

  it("says what it can do", { timeout: PATIENCE_MS }, async () => {
    expect(await gnomon("--help")).toMatch(/^Usage: gnomon /);
  });

  it("answers a question about a file", { timeout: PATIENCE_MS }, async () => {
    const { text, questions } = await readSample();
    await writeFile(join(directory.path, "minutes.txt"), text);
    const [first] = questions;
    const out = await gnomon("ask", "minutes.txt", "-q", first?.question ?? "", "--quiet");
    expect(out.replace(/\s+/g, " ").trim()).toBe(first?.expected);
  });

  it("runs a batch", { timeout: PATIENCE_MS }, async () => {
    const messages = [{ role: "user", content: "Contract AB-1234 expires on 3 May 2030.\n\nWhen does it expire?" }];
    const body = { model: service.model, messages, max_tokens: 32 };
    const line = { custom_id: "a", method: "POST", url: "/v1/chat/completions", body };
    await writeFile(join(directory.path, "in.jsonl"), `${JSON.stringify(line)}\n`);
    expect(await gnomon("batch", "in.jsonl", "--quiet")).toContain("1 of 1 line answered");
    const results = await readFile(join(directory.path, "in-results.jsonl"), "utf8");
    expect(JSON.parse(results)).toMatchObject({ custom_id: "a", error: null });
  });

  it("summarises a folder, HTML too", { timeout: PATIENCE_MS }, async () => {
    await mkdir(join(directory.path, "archive"));
    const text = "The board decided to expand the winter harbour by June.";
    await writeFile(join(directory.path, "archive", "harbour.html"), `<h1>Minutes</h1><p>${text}</p>`);
    const out = await gnomon("summarize", "archive", "--max-tokens", "32", "--json");
    expect(JSON.parse(out)).toMatchObject({ documents: 1, succeeded: 1, failed: 0 });
  });
});
