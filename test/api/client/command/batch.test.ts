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
