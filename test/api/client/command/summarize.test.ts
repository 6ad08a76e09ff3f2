import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestTerminal, fetchAnswered, fetchOf, isSubmit, runGnomon } from "../../../support/command.ts";
import { openTestApp, type TestApp } from "../../../support/test-app.ts";

let app: TestApp;
let directory: string;
let asked: string[];
beforeEach(async () => {
  app = await openTestApp();
  directory = await mkdtemp(join(tmpdir(), "gnomon-summarize-"));
  asked = [];
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
  await app[Symbol.asyncDispose]();
});

async function put(path: string, content: string): Promise<void> {
  const file = join(directory, "papers", path);
  await mkdir(join(file, ".."), { recursive: true });
  await writeFile(file, content);
}

/** Says every capitalised word of the document. */
const namesIn = (document: string): string => {
  asked.push(document);
  return [...document.matchAll(/\b[A-Z]{2,}\b/g)].map(([name]) => name).join(" ");
};

const output = (...path: string[]) => join(directory, "papers-summaries", ...path);
const records = async () =>
  (await readFile(output("summaries.jsonl"), "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

const run = (fetch = fetchAnswered(app, namesIn), ...more: string[]) =>
  runGnomon(["summarize", join(directory, "papers"), "--instructions", "which names", "--max-tokens", "8", ...more], {
    fetch,
  });

describe("a folder of documents", () => {
  test("gives a summary beside each, and all of them as JSONL and CSV", async () => {
    await put("b.md", "# Notes\nthen BERTA came");
    await put("sub/a.html", "<p>and <b>ANTON</b> went");
    await put(".hidden.txt", "NOBODY");
    await put("picture.png", "no document");
    const { status, out } = await run();
    expect(status).toBe(0);
    expect(out).toContain("2 of 2 documents");
    expect(await readFile(output("summaries", "sub", "a.html.txt"), "utf8")).toBe("ANTON\n");
    expect(await records()).toMatchObject([
      { path: "b.md", status: "succeeded", summary: "BERTA", sections: 1, duplicate_of: null },
      { path: "sub/a.html", status: "succeeded", summary: "ANTON" },
    ]);
    const csv = (await readFile(output("summaries.csv"), "utf8")).split("\n");
    expect(csv[0]).toMatch(/^path,status,summary,/);
    expect(csv[1]).toMatch(/^b\.md,succeeded,BERTA,/);
  });

  test("does the same content once", async () => {
    await put("a.txt", "only ANTON");
    await put("b.txt", "only ANTON");
    const { out } = await run(undefined, "--json");
    expect(JSON.parse(out)).toMatchObject({ documents: 2, succeeded: 2, duplicates: 1 });
    expect(asked.length).toBe(1);
    expect(await records()).toMatchObject([{ duplicate_of: null }, { summary: "ANTON", duplicate_of: "a.txt" }]);
  });

  test("says of each that cannot be read why, and does the others", async () => {
    await put("a.txt", "only ANTON");
    await put("empty.txt", "");
    await put("z.pdf", "no PDF at all");
    const { status, err } = await run();
    expect(status).toBe(1);
    expect(err).toMatch(/empty\.txt: it is empty/);
    expect(await records()).toMatchObject([
      { status: "succeeded" },
      { status: "failed", error: "it is empty" },
      { status: "failed", error: "The document cannot be turned to text. It is not a valid PDF." },
    ]);
  });

  test("does the others where one is removed in the meantime", async () => {
    await put("a.txt", "only ANTON");
    await put("b.txt", "only BERTA");
    const send = fetchAnswered(app, namesIn);
    const { status, err } = await run(async (input, init) => {
      if (new URL(new Request(input).url).pathname === "/v1/models") await rm(join(directory, "papers", "a.txt"));
      return send(input, init);
    });
    expect({ status, err }).toEqual({ status: 1, err: expect.stringContaining("a.txt: it is not there any more") });
    expect((await records())[1]).toMatchObject({ path: "b.txt", status: "succeeded" });
  });

  test("a spreadsheet runs nothing of what a stranger wrote", async () => {
    await put("a.txt", "x");
    await run(fetchAnswered(app, () => "=HYPERLINK(1)"));
    expect(await readFile(output("summaries.csv"), "utf8")).toContain(",'=HYPERLINK(1),");
  });

  test("which is not there, or has no documents, is wrong usage", async () => {
    expect((await run()).status).toBe(2);
    await put("picture.png", "no document");
    expect(await run()).toMatchObject({ status: 2, err: expect.stringContaining("There is no text") });
    const picture = join(directory, "papers", "picture.png");
    const fetch = fetchOf(app);
    expect(await runGnomon(["summarize", picture], { fetch })).toMatchObject({
      status: 2,
      err: `gnomon: ${picture} is no folder: \`gnomon ask\` takes files.\n`,
    });
    await put("a.txt", "only ANTON");
    expect((await run(fetch, "--output", picture)).err).toContain("is no folder: name another --output.");
    expect((await run(fetch, "--max-tokens", "100")).err).toContain(
      "leaves no room for a document: words takes 100 tokens",
    );
  });
});

describe("a document that is too long for the model", () => {
  // The model takes 100 tokens, each of them a word.
  const filler = (words: number) => Array.from({ length: words }, (_, index) => `w${index}`).join(" ");

  test("is summarised by its sections, cut at headings, each with the same beginning", async () => {
    await put("long.md", `# One\nANTON ${filler(50)}\n# Two\nBERTA ${filler(50)}\n# Three\nCAESAR ${filler(50)}\n`);
    const { status } = await run();
    expect(status).toBe(0);
    const [record] = await records();
    expect(record).toMatchObject({ status: "succeeded", sections: 3, summary: "ANTON BERTA CAESAR" });
    const sections = asked.filter((text) => text.startsWith("A section of long.md."));
    const headings = sections.map((text) => /\n\n# (\w+)\n/.exec(text)?.[1]);
    expect(headings).toHaveLength(3);
    expect(new Set(headings)).toEqual(new Set(["One", "Two", "Three"]));
    expect(new Set(sections.map((text) => text.split("\n\n")[0])).size).toBe(1);
    expect(asked.at(-1)).toMatch(/^Summaries of the sections of long\.md, in their order:\n\nANTON\n\nBERTA\n\nCAESAR/);
  });

  test("has a part that takes more tokens than the rest cut again", async () => {
    // One-letter words: many more tokens to a byte than in the text as a whole.
    const dense = Array.from({ length: 150 }, () => "x").join(" ");
    await put("uneven.txt", `ANTON ${Array.from({ length: 60 }, () => "abcdefghijkl").join(" ")}\n\n${dense}\n\nBERTA`);
    const { status } = await run();
    expect(status).toBe(0);
    expect((await records())[0]).toMatchObject({ status: "succeeded", summary: "ANTON BERTA" });
  });

  test("has the summaries of its sections put together instead, if that is asked for", async () => {
    await put("long.md", `# One\nANTON ${filler(45)}\n# Two\nBERTA ${filler(45)}\n`);
    await run(undefined, "--combine", "join");
    expect((await records())[0]).toMatchObject({ sections: 2, summary: "ANTON\n\nBERTA" });
    expect(asked.length).toBe(2);
  });

  test("is split where whoever asks wants shorter sections", async () => {
    await put("a.txt", `ANTON ${filler(30)}\n\nBERTA ${filler(30)}\n`);
    await run(undefined, "--section-tokens", "60");
    expect((await records())[0]).toMatchObject({ sections: 2, summary: "ANTON BERTA" });
  });
});

describe("a run that broke off", () => {
  test("goes on where it stopped: what was answered is not asked again", async () => {
    await put("a.txt", "only ANTON");
    await put("b.txt", "only BERTA");
    await run();
    await put("c.txt", "only CAESAR");
    // As a crash leaves it: half a line.
    await appendFile(output("state.jsonl"), '{"type":"answered","key":"12');
    asked = [];
    expect((await run()).status).toBe(0);
    expect(asked).toEqual(["only CAESAR"]);
    asked = [];
    await put("b.txt", "now BRUNO");
    await run();
    expect(asked).toEqual(["now BRUNO"]);
    expect((await records()).map(({ summary }) => summary)).toEqual(["ANTON", "BRUNO", "CAESAR"]);
  });

  test("finds the job that it had sent and not written down", async () => {
    await put("a.txt", "only ANTON");
    const terminal = createTestTerminal();
    const send = fetchOf(app);
    let ids = "";
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const response = await send(input, init);
      if (isSubmit(input, init)) {
        ids += ((await response.clone().json()) as { id: string }).id;
        setTimeout(() => terminal.interrupt(), 0);
      }
      return response;
    };
    const args = ["summarize", join(directory, "papers"), "--max-tokens", "8"];
    const first = await runGnomon(args, { fetch, terminal });
    expect(first).toMatchObject({ status: 130, err: expect.stringContaining("The same command goes on from here.") });
    expect((await records())[0]).toMatchObject({ status: "pending" });

    const again = createTestTerminal();
    const replayed: string[] = [];
    const watch: typeof globalThis.fetch = async (input, init) => {
      const response = await send(input, init);
      if (isSubmit(input, init)) {
        replayed.push(((await response.clone().json()) as { id: string }).id);
        setTimeout(() => again.interrupt(), 0);
      }
      return response;
    };
    await runGnomon(args, { fetch: watch, terminal: again });
    expect(replayed).toEqual([ids]);
  });

  test("does again what it was told to cancel, even where the job has not ended yet", async () => {
    await put("a.txt", "only ANTON");
    const terminal = createTestTerminal({ answers: ["y"] });
    const send = fetchOf(app);
    let claim: Awaited<ReturnType<TestApp["claim"]>> | undefined;
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const response = await send(input, init);
      if (isSubmit(input, init)) {
        // It runs, so that cancelling it takes until its worker hears of it.
        claim = await app.claim(((await response.clone().json()) as { id: string }).id);
        setTimeout(() => terminal.interrupt(), 0);
      }
      return response;
    };
    const args = ["summarize", join(directory, "papers"), "--instructions", "which names", "--max-tokens", "8"];
    expect(await runGnomon(args, { fetch, terminal })).toMatchObject({ status: 130 });

    const answered = fetchAnswered(app, namesIn);
    let submits = 0;
    const later: typeof globalThis.fetch = async (input, init) => {
      if (!isSubmit(input, init)) return send(input, init);
      submits += 1;
      if (submits > 1) return answered(input, init);
      const response = await send(input, init);
      if (claim) await app.state.jobs.settleStopped(claim, "cancelled", null);
      return response;
    };
    expect(await runGnomon(args, { fetch: later })).toMatchObject({ status: 0 });
    expect(submits).toBe(2);
    expect((await records())[0]).toMatchObject({ status: "succeeded", summary: "ANTON" });
  });

  test("tries again what had failed", async () => {
    await put("a.txt", "only ANTON");
    const send = fetchOf(app);
    const failing: typeof globalThis.fetch = async (input, init) => {
      const response = await send(input, init);
      if (isSubmit(input, init)) {
        const { id } = (await response.clone().json()) as { id: string };
        await app.state.jobs.settleFailed(await app.claim(id), {
          code: "engine_failed",
          message: "The engine failed.",
        });
      }
      return response;
    };
    expect((await run(failing)).status).toBe(1);
    expect((await run()).status).toBe(0);
    expect((await records())[0]).toMatchObject({ summary: "ANTON" });
  });
});
