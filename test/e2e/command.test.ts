import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSample, startRealService } from "../support/real-service.ts";

const COMMAND = fileURLToPath(new URL("../../api/client/command/gnomon.mjs", import.meta.url));
const SAMPLE = fileURLToPath(new URL("../../native/models/needle/sample/document.txt", import.meta.url));
const PATIENCE_MS = 180_000;

let service: Awaited<ReturnType<typeof startRealService>>;
let directory: string;
beforeAll(async () => {
  service = await startRealService();
  directory = await mkdtemp(join(tmpdir(), "gnomon-command-e2e-"));
});
afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const start = (args: string[], url = service.url): ChildProcessWithoutNullStreams =>
  spawn(process.execPath, [COMMAND, ...args], {
    env: { ...process.env, GNOMON_URL: url },
    stdio: ["pipe", "pipe", "pipe"],
  });

async function gnomon(args: string[], { input = "", url = service.url } = {}) {
  const child = start(args, url);
  child.stdin.end(input);
  const [out, err, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { status, out, err };
}

describe("the command as a process, with the real engine", { timeout: PATIENCE_MS }, () => {
  test("ask prints the right answers of a long document", async () => {
    const { questions } = await readSample();
    const asked = questions.flatMap(({ question }) => ["-q", question]);
    const { status, out, err } = await gnomon(["ask", SAMPLE, ...asked]);
    expect(status).toBe(0);
    expect(out).toBe(`${questions.map(({ question, expected }) => `${question}\n${expected}\n`).join("\n")}`);
    expect(err).toMatch(/prefill .* tokens \| succeeded/);
    expect(err).not.toContain("\u001b");
  });

  test("submit, logs -f and result make the same of a pipe", async () => {
    const input = "The board met. Contract AB-1234 expires on 3 May 2030. The board went home.";
    const { out: id } = await gnomon(["submit", "-q", "When does contract AB-1234 expire?", "--quiet"], { input });
    const logs = await gnomon(["logs", "-f", id.trim()]);
    expect(logs).toMatchObject({
      status: 0,
      out: expect.stringContaining("[1] Contract AB-1234 expires on 3 May 2030."),
    });
    expect(logs.out).toMatch(/succeeded\n$/);
    expect((await gnomon(["result", id.trim()])).out).toBe("Contract AB-1234 expires on 3 May 2030.\n");
    expect((await gnomon(["status"])).out).toContain(id.trim());
  });

  test("a service that is not there is one line", async () => {
    const { status, err } = await gnomon(["status"], { url: "http://127.0.0.1:2" });
    expect(status).toBe(3);
    expect(err).toMatch(/^gnomon: Cannot reach the service at http:\/\/127\.0\.0\.1:2 .*\n$/);
  });

  test("answers where nobody reads what is only told on the way", async () => {
    const child = start(["ask", "-q", "When does contract AB-1234 expire?"]);
    child.stderr.destroy();
    child.stdin.end("Contract AB-1234 expires on 3 May 2030.");
    const [out, [status]] = await Promise.all([text(child.stdout), once(child, "close")]);
    expect({ status, out }).toEqual({ status: 0, out: "Contract AB-1234 expires on 3 May 2030.\n" });
  });

  test("summarize does a folder, killed half-way, to its end: nothing is asked twice", async () => {
    const place = await mkdtemp(join(directory, "summarize-"));
    const folder = join(place, "minutes");
    await mkdir(folder);
    const countJobs = async () => {
      const { out } = await gnomon(["status", "--json", "--limit", "100"]);
      return (JSON.parse(out) as { data: unknown[] }).data.length;
    };
    const jobsBefore = await countJobs();
    const filler = "The minutes of the meeting before were read and found to be in order. ".repeat(40);
    const decided = (what: string) => `Decision 1: the board will ${what} by June.`;
    await writeFile(join(folder, "a.txt"), `The board met. ${decided("expand the winter harbour")} ${filler}`);
    await writeFile(join(folder, "b.html"), `<h1>Minutes</h1><p>${filler}<p>${decided("publish the wave tables")}`);
    await writeFile(join(folder, "copy.txt"), `The board met. ${decided("expand the winter harbour")} ${filler}`);
    await writeFile(
      join(folder, "long.md"),
      ["replace the anchor cable", "fund the turtle study"]
        .map((what, index) => `# Part ${index + 1}\n\n${filler}\n\n${decided(what)}\n\n${filler}\n`)
        .join("\n"),
    );
    const args = ["summarize", folder, "--max-tokens", "64", "--section-tokens", "2400", "--json"];
    const state = join(place, "minutes-summaries", "state.jsonl");
    const answers = async () => {
      const lines = await readFile(state, "utf8").catch(() => "");
      return lines.split("\n").flatMap((line) => (line.includes('"answered"') ? [JSON.parse(line).key as string] : []));
    };

    const killed = start(args);
    while ((await answers()).length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    killed.kill("SIGKILL");
    await once(killed, "close");

    const { status, out } = await gnomon(args);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ documents: 4, succeeded: 4, failed: 0, duplicates: 1, split: 1 });
    const keys = await answers();
    expect(new Set(keys).size).toBe(keys.length);
    expect((await countJobs()) - jobsBefore).toBe(keys.length);

    const records = (await readFile(join(place, "minutes-summaries", "summaries.jsonl"), "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { path: string; summary: string; sections: number });
    expect(records.map(({ path, summary }) => [path, summary])).toEqual([
      ["a.txt", decided("expand the winter harbour")],
      ["b.html", decided("publish the wave tables")],
      ["copy.txt", decided("expand the winter harbour")],
      ["long.md", `${decided("replace the anchor cable")}\n\n${decided("fund the turtle study")}`],
    ]);
  });

  test("batch, killed while its lines run, has every result once in the end", async () => {
    const place = await mkdtemp(join(directory, "batch-"));
    const file = join(place, "contracts.jsonl");
    const filler = "The minutes of the meeting before were read and found to be in order. ".repeat(20);
    const lines = Array.from({ length: 24 }, (_, index) => ({
      custom_id: `contract-${index}`,
      method: "POST",
      url: "/v1/chat/completions",
      body: {
        model: "needle",
        max_tokens: 40,
        messages: [
          {
            role: "user",
            content: `${filler}Contract AB-10${index + 10} expires on 3 May 2030. ${filler}\n\nWhen does contract AB-10${index + 10} expire?`,
          },
        ],
      },
    }));
    await writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const results = join(place, "contracts-results.jsonl");
    const read = () => readFile(results, "utf8").catch(() => "");

    const killed = start(["batch", file]);
    while ((await read()) === "" && killed.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
    killed.kill("SIGKILL");
    if (killed.exitCode === null && killed.signalCode === null) await once(killed, "close");

    const { status, out, err } = await gnomon(["batch", file, "--json"]);
    expect({ status, err }).toEqual({ status: 0, err: "" });
    const batch = JSON.parse(out) as { id: string };
    expect(batch).toMatchObject({ status: "completed", request_counts: { total: 24, completed: 24, failed: 0 } });
    const answered = (await read())
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { custom_id: string; response: { body: any } });
    expect(new Set(answered.map(({ custom_id }) => custom_id))).toEqual(new Set(lines.map((line) => line.custom_id)));
    expect(answered.length).toBe(24);
    const first = answered.find(({ custom_id }) => custom_id === "contract-0");
    expect(first?.response.body.choices[0].message.content).toBe("Contract AB-1010 expires on 3 May 2030.");
    expect((await gnomon(["status", batch.id])).out).toContain("24 of 24 lines answered");
  });

  test("batch says what is wrong with which line, and runs nothing", async () => {
    const file = join(await mkdtemp(join(directory, "batch-")), "bad.jsonl");
    await writeFile(file, '{"custom_id": "a"\n{"custom_id": "b"}\n');
    for (const more of [[], ["--dry-run"]]) {
      const { status, out } = await gnomon(["batch", file, ...more]);
      expect(status).toBe(5);
      expect(out).toMatch(/^Line 1: .*\nLine 2: /);
    }
  });
});
