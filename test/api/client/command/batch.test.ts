import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BatchList } from "../../../../api/contract/batch-resource.ts";
import { chatLine, openTestService } from "../../../support/batch-fixtures.ts";
import { createTestTerminal, fetchOf, runGnomon } from "../../../support/command.ts";
import { eventually } from "../../../support/eventually.ts";
import { readJson } from "../../../support/test-app.ts";

let service: Awaited<ReturnType<typeof openTestService>>;
let directory: string;
let file: string;
beforeEach(async () => {
  service = await openTestService();
  directory = await mkdtemp(join(tmpdir(), "gnomon-command-"));
  file = join(directory, "in.jsonl");
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
  await service[Symbol.asyncDispose]();
});

const writeLines = (...lines: unknown[]) => writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
const batches = async () => (await readJson(BatchList, await service.get("/v1/batches"))).data;

/** The service, and what becomes of the first answer to such a request. */
function failingOnce(method: string, path: RegExp, fail: (response: Response) => Response): typeof fetch {
  const send = fetchOf(service);
  let isDue = true;
  return async (input, init) => {
    const response = await send(input, init);
    const hit = isDue && (init?.method ?? "GET") === method && path.test(new URL(new Request(input).url).pathname);
    if (!hit) return response;
    isDue = false;
    return fail(response);
  };
}

describe("batch", () => {
  test("makes one batch where the answer to its making was lost", async () => {
    await writeLines(chatLine("a"));
    const fetch = failingOnce("POST", /^\/v1\/batches$/, () => {
      throw new TypeError("terminated");
    });
    const { status, out } = await runGnomon(["batch", file, "--no-wait"], { fetch });
    expect(status).toBe(0);
    expect((await batches()).map(({ id }) => id)).toEqual([out.trim()]);
  });

  test("finds the batch that a run made which died before it could note it", async () => {
    await writeLines(chatLine("a"));
    const fetch = failingOnce("POST", /^\/v1\/batches$/, () => {
      throw new Error("killed");
    });
    expect((await runGnomon(["batch", file, "--no-wait"], { fetch })).status).not.toBe(0);
    const { status, out } = await runGnomon(["batch", file, "--no-wait"], { fetch });
    expect(status).toBe(0);
    expect((await batches()).map(({ id }) => id)).toEqual([out.trim()]);
  });

  test("has every result once where the connection broke among them", async () => {
    await writeLines(chatLine("a"), chatLine("b"));
    const fetch = failingOnce("GET", /\/results$/, ({ body, headers }) => {
      const broken = body?.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            controller.enqueue(chunk.subarray(0, 10));
            controller.error(new TypeError("terminated"));
          },
        }),
      );
      return new Response(broken ?? null, { headers });
    });
    await runGnomon(["batch", file, "--no-wait"], { fetch });
    await service.work();
    const running = await service.begin();
    for (const index of [0, 1]) (await service.worker.sequence(index)).finish(1);
    await running.done;
    const { status, out } = await runGnomon(["batch", file], { fetch });
    expect({ status, out }).toEqual({ status: 0, out: expect.stringContaining("2 of 2 lines answered") });
    const results = (await readFile(join(directory, "in-results.jsonl"), "utf8")).trimEnd().split("\n");
    expect(results.map((line): string => JSON.parse(line).custom_id).toSorted()).toEqual(["a", "b"]);
  });

  test("says where its results are, and of the same file again that it was run before", async () => {
    await writeLines(chatLine("a"));
    const begun = runGnomon(["batch", file], { fetch: fetchOf(service) });
    await eventually(async () => expect(await batches()).toHaveLength(1));
    await service.work();
    const running = await service.begin();
    (await service.worker.sequence(0)).finish(1);
    await running.done;
    const { out, err } = await begun;
    expect(out).toContain("1 of 1 line answered, 0 failed.");
    const results = join(directory, "in-results.jsonl");
    expect(err).toContain(`The results are in ${results}.`);
    const again = await runGnomon(["batch", file], { fetch: fetchOf(service) });
    expect(again.err).toContain(`was run before, as batch batch_`);
    expect(again.err).toContain(`remove ${results}.state.json to run it again.`);
  });

  test("keeps what an earlier batch, or anything else, has left in its output", async () => {
    const results = join(directory, "in-results.jsonl");
    await writeFile(results, "not of any batch\n");
    await writeLines(chatLine("a"));
    const first = await runGnomon(["batch", file, "--no-wait"], { fetch: fetchOf(service) });
    expect(first.err).toContain(`What was in ${results} is in ${results}.1 now.`);
    expect(await readFile(`${results}.1`, "utf8")).toBe("not of any batch\n");
    await service.work();
    const running = await service.begin();
    (await service.worker.sequence(0)).finish(1);
    await running.done;
    await runGnomon(["batch", file], { fetch: fetchOf(service) });
    const answered = await readFile(results, "utf8");
    expect(answered).toContain('"custom_id":"a"');
    // The input is another one now, and so is its batch.
    await writeLines(chatLine("b"));
    const second = await runGnomon(["batch", file, "--no-wait"], { fetch: fetchOf(service) });
    expect(second.err).toContain(`What was in ${results} is in ${results}.2 now.`);
    expect(await readFile(`${results}.2`, "utf8")).toBe(answered);
    expect(await readFile(results, "utf8").catch(() => "")).toBe("");
  });

  test("Ctrl-C asks whether to cancel a dry run", async () => {
    await writeLines(chatLine("a"));
    const terminal = createTestTerminal({ answers: ["y"] });
    const begun = runGnomon(["batch", file, "--dry-run"], { fetch: fetchOf(service), terminal });
    await eventually(async () => expect(await batches()).toHaveLength(1));
    terminal.interrupt();
    expect((await begun).status).toBe(130);
    const [batch] = await batches();
    expect(terminal.asked).toEqual([expect.stringContaining(`Cancel batch ${batch?.id}?`)]);
    expect(batch?.status).toMatch(/^cancell/);
  });

  test("sends its file again where the service could not take it", async () => {
    await writeLines(chatLine("a"));
    const send = fetchOf(service);
    let uploads = 0;
    const fetch: typeof globalThis.fetch = async (input, init) => {
      if (new URL(new Request(input).url).pathname !== "/v1/files") return send(input, init);
      uploads += 1;
      const response = await send(input, init);
      return uploads === 1 ? new Response("", { status: 503, headers: { "Retry-After": "0" } }) : response;
    };
    expect(await runGnomon(["batch", file, "--no-wait"], { fetch })).toMatchObject({ status: 0 });
    expect(uploads).toBe(2);
  });

  test("says before anything is sent that there is no batch in it, or no place for its results", async () => {
    const fetch = () => Promise.reject(new Error("not to be called"));
    const of = (...args: string[]) => runGnomon(["batch", ...args], { fetch });
    await writeLines(chatLine("a"));
    const nowhere = join(directory, "none");
    expect(await of(directory)).toMatchObject({
      status: 2,
      err: expect.stringContaining("is a folder: a batch is a file"),
    });
    expect(await of("-")).toMatchObject({ status: 2, err: expect.stringContaining("A batch is a file") });
    expect(await of(file, "-o", join(nowhere, "out.jsonl"))).toMatchObject({
      status: 2,
      err: `gnomon: There is no folder ${nowhere} for the results.\n`,
    });
  });

  test("names the lines that are not valid, runs the others, and says so by its exit status", async () => {
    await writeLines(chatLine("a"), chatLine("b", "x", { n: 2 }));
    const terminal = createTestTerminal();
    const begun = runGnomon(["batch", file], { fetch: fetchOf(service), terminal });
    await eventually(async () => expect(await batches()).toHaveLength(1));
    await service.work();
    const told = /^Line 2: `body\.n` .*\nThe other lines run\.$/m;
    await eventually(() => expect(terminal.err).toMatch(told));
    const running = await service.begin();
    (await service.worker.sequence(0)).finish(1);
    await running.done;
    const { status, out } = await begun;
    expect(status).toBe(1);
    expect(out).toContain("1 of 2 lines answered, 1 failed.");
  });

  test("--dry-run lists every fault that the service does, and how many more there are", async () => {
    await writeLines(...Array.from({ length: 102 }, (_, index) => chatLine(`line-${index}`, "x", { n: 2 })));
    const begun = runGnomon(["batch", file, "--dry-run"], { fetch: fetchOf(service) });
    await eventually(async () => expect(await batches()).toHaveLength(1));
    await service.work();
    const { out } = await begun;
    expect(out).toMatch(/\nLine 100: .*\n2 more lines are not valid\.\n0 lines, /);
  });

  test("--dry-run names the lines that are not valid, and what the others take", async () => {
    await writeLines(chatLine("a"), chatLine("b", "x", { n: 2 }));
    const begun = runGnomon(["batch", file, "--dry-run"], { fetch: fetchOf(service) });
    await eventually(async () => expect(await batches()).toHaveLength(1));
    await service.work();
    const { status, out } = await begun;
    expect(status).toBe(5);
    expect(out).toMatch(/^Line 2: `body\.n` .*\n1 line, 4 prompt tokens, at most 14 in all/);
  });
});

describe("a batch by its id", () => {
  test("`status --wait` waits for its end, and `result` prints its lines", async () => {
    await writeLines(chatLine("a"), chatLine("b"));
    const fetch = fetchOf(service);
    const id = (await runGnomon(["batch", file, "--no-wait"], { fetch })).out.trim();
    await service.work();
    const running = await service.begin();
    (await service.worker.sequence(0)).finish(1);
    await eventually(async () => {
      const { status, out } = await runGnomon(["result", id], { fetch });
      expect(status).toBe(0);
      expect(out.trimEnd().split("\n")).toHaveLength(1);
    });
    const waited = runGnomon(["status", id, "--wait"], { fetch });
    (await service.worker.sequence(1)).finish(1);
    await running.done;
    expect(await waited).toMatchObject({ status: 0, out: expect.stringContaining("2 of 2 lines answered, 0 failed.") });
    const { out } = await runGnomon(["result", id, "--wait"], { fetch });
    const lines = out.trimEnd().split("\n");
    expect(lines.map((line): string => JSON.parse(line).custom_id).toSorted()).toEqual(["a", "b"]);
  });
});
