import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestTerminal, fetchAnswered, fetchOf, runGnomon } from "../../../support/command.ts";
import { openTestApp, type TestApp } from "../../../support/test-app.ts";
import { tinyPdf } from "../../../support/tiny-pdf.ts";

let app: TestApp;
let directory: string;
let file: string;
beforeEach(async () => {
  app = await openTestApp();
  directory = await mkdtemp(join(tmpdir(), "gnomon-command-"));
  file = join(directory, "minutes.txt");
  await writeFile(file, "the sun is up");
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
  await app[Symbol.asyncDispose]();
});

const echo = (document: string, question: string) => `${question} ${document}`;
const asking = ["-q", "where is it", "--max-tokens", "5"];

describe("ask", () => {
  test("sends the file, waits, and prints only the answer on standard output", async () => {
    const { status, out, err } = await runGnomon(["ask", file, ...asking], { fetch: fetchAnswered(app, echo) });
    expect({ status, out }).toEqual({ status: 0, out: "where is it the sun is up\n" });
    expect(err).toMatch(/upload .* 13\/13 bytes \| minutes\.txt/);
    expect(err).toMatch(/Job job_\S+: 8 tokens\./);
  });

  test("puts each of several answers below its question", async () => {
    const args = ["ask", file, "-q", "who", "-q", "when", "--max-tokens", "5"];
    const { out } = await runGnomon(args, { fetch: fetchAnswered(app, echo) });
    expect(out).toBe("who\nwho the sun is up\n\nwhen\nwhen the sun is up\n");
  });

  test("reads what is piped in, and - beside files", async () => {
    const fetch = fetchAnswered(app, echo);
    const piped = await runGnomon(["ask", ...asking], { fetch, input: "the moon" });
    expect(piped.out).toBe("where is it the moon\n");
    const beside = await runGnomon(["ask", file, "-", ...asking], { fetch, input: "and the moon" });
    expect(beside.out).toBe("where is it the sun is up\n\nand the moon\n");
  });

  test("with --json prints the result and nothing else anywhere", async () => {
    const { out, err } = await runGnomon(["ask", file, ...asking, "--json"], { fetch: fetchAnswered(app, echo) });
    expect(JSON.parse(out)).toMatchObject({ object: "job.result", answers: [{ question: "where is it" }] });
    expect(err).toBe("");
  });

  test("says what is missing before anything is sent", async () => {
    const fetch = () => Promise.reject(new Error("not to be called"));
    const missing = join(directory, "none.txt");
    const refusals = await Promise.all([
      runGnomon(["ask", file], { fetch }),
      runGnomon(["ask", ...asking], { fetch }),
      runGnomon(["ask", file, missing, ...asking], { fetch }),
      runGnomon(["ask", directory, ...asking], { fetch }),
      runGnomon(["ask", file, "-q", "x", "--max-tokens", "many"], { fetch }),
      runGnomon(["frob"], { fetch }),
    ]);
    expect(refusals.map(({ status, err }) => [status, err.trimEnd().split("\n").length])).toEqual(
      refusals.map(() => [2, 1]),
    );
    const [question, document, absent, folder, number] = refusals.map(({ err }) => err);
    expect(question).toContain("Give a question");
    expect(document).toContain("Name a file");
    expect(absent).toContain(`There is no file ${missing}.`);
    expect(folder).toContain(`\`gnomon summarize ${directory}\` summarises what is in it.`);
    expect(number).toContain("'many' is invalid");
  });

  test.each([
    [["--max-tokens", "0"], "--max-tokens must be at least 1."],
    [["--temperature", "3"], "--temperature must be at most 2."],
    [["--ttl", "0"], "--ttl must be at least 1."],
    [["-q", ""], "-q must not be empty."],
    [["--webhook", "here"], "--webhook must be an address, such as https://example.com."],
    [["--idempotency-key", "é"], "It must be 1 to 255 printable ASCII characters"],
  ])("refuses %j before anything is sent, by the name of the option", async (more, reason) => {
    const fetch = () => Promise.reject(new Error("not to be called"));
    const { status, err } = await runGnomon(["ask", file, "-q", "where", ...more], { fetch });
    expect({ status, err }).toEqual({ status: 2, err: expect.stringContaining(reason) });
  });

  test("knows a PDF and a page by their first bytes, in a pipe and in a file without an ending", async () => {
    const fetch = fetchAnswered(app, (document) => document);
    const page = "<!doctype html><p>the <b>moon</b>";
    expect((await runGnomon(["ask", ...asking], { fetch, input: page })).out).toBe("the moon\n");
    const report = join(directory, "report");
    await writeFile(report, tinyPdf(["the sun is up"]));
    expect((await runGnomon(["ask", report, ...asking], { fetch })).out.trim()).toBe("the sun is up");
  });

  test.each([
    ["letter.docx", "PK\x03\x04\x00\x00", "is neither text nor PDF: convert it"],
    ["letter.txt", "\xff\xfeD\x00", "is UTF-16: convert it"],
    ["letter.txt", "Gr\xfc\xdfe", "letter.txt is not UTF-8: convert it"],
  ])("says of %s that it is no text that can be read, and what to do", async (name, bytes, reason) => {
    const path = join(directory, name);
    await writeFile(path, bytes, "latin1");
    const { err } = await runGnomon(["ask", path, ...asking, "--quiet"], { fetch: fetchOf(app) });
    expect(err).toContain(reason);
  });

  test("says that nothing was piped in", async () => {
    const fetch = () => Promise.reject(new Error("not to be called"));
    const { status, err } = await runGnomon(["ask", ...asking], { fetch, input: "" });
    expect({ status, err }).toEqual({ status: 2, err: "gnomon: There is nothing on standard input.\n" });
  });

  test("a field that the service refuses is one line, and JSON where JSON was asked for", async () => {
    const args = ["ask", file, "-q", "where", "--max-tokens", "5000"];
    const plain = await runGnomon(args, { fetch: fetchOf(app) });
    expect(plain.status).toBe(5);
    expect(plain.err.trimEnd().split("\n").at(-1)).toMatch(/^gnomon: The prompt is longer than the model allows\./);
    const json = await runGnomon([...args, "--json"], { fetch: fetchOf(app) });
    expect(JSON.parse(json.err)).toMatchObject({ error: { code: "context_overflow", field: "max_tokens" } });
  });

  test("the same idempotency key makes one job", async () => {
    const args = ["submit", file, ...asking, "--quiet", "--idempotency-key", "minutes-1"];
    const first = await runGnomon(args, { fetch: fetchOf(app) });
    const second = await runGnomon(args, { fetch: fetchOf(app) });
    expect(first.out).toMatch(/^job_\S+\n$/);
    expect(second.out).toBe(first.out);
  });
});

describe("Ctrl-C while a job is waited for", () => {
  async function interrupted(answers: string[] | null, signal?: "SIGTERM") {
    const terminal = createTestTerminal({ answers });
    let looks = 0;
    const send = fetchOf(app);
    const fetch: typeof globalThis.fetch = (input, init) => {
      if ((init?.method ?? "GET") === "GET") looks += 1;
      if (looks === 1) setTimeout(() => terminal.interrupt(signal), 0);
      return send(input, init);
    };
    const ended = await runGnomon(["ask", file, ...asking], { fetch, terminal });
    const [job] = (await app.state.jobs.index.list("default", { after: null, limit: 1 })).map((entry) => entry.job);
    return { ...ended, asked: terminal.asked.length, job: (await app.state.jobs.get("default", job ?? ""))?.status };
  }

  test("cancels it if that is the answer", async () => {
    expect(await interrupted(["y"])).toMatchObject({ status: 130, asked: 1, job: "cancelled" });
  });

  test("leaves it running otherwise, and says how to come back to it", async () => {
    const { err, ...rest } = await interrupted(["n"]);
    expect(rest).toMatchObject({ status: 130, asked: 1, job: "queued" });
    expect(err).toMatch(/`gnomon result job_\S+ --wait` comes back/);
  });

  test("ends the command where there is nothing yet to cancel", async () => {
    const terminal = createTestTerminal({ answers: [] });
    const fetch = () => {
      setTimeout(() => terminal.interrupt(), 0);
      return new Promise<never>(() => {});
    };
    const { status, err } = await runGnomon(["ask", file, ...asking], { fetch, terminal });
    expect({ status, asked: terminal.asked }).toEqual({ status: 130, asked: [] });
    expect(err).toMatch(/gnomon: Interrupted\.\n$/);
  });

  test("leaves it running where nobody can be asked, and at a signal to end", async () => {
    expect(await interrupted(null)).toMatchObject({ status: 130, asked: 0, job: "queued" });
    expect(await interrupted(["y"], "SIGTERM")).toMatchObject({ status: 130, asked: 0 });
  });
});
