import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it, vi } from "vitest";
import { loadPrompts } from "../../../native/prompt/prompt.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { NEEDLE_DIR } from "../support/needle.ts";

const threads: Worker[] = [];
const remember = (thread: Worker) => threads.push(thread);
process.on("worker", remember);
afterEach(async () => {
  for (const thread of threads.splice(0)) await thread.terminate();
});

/** The thread that was started last. */
const latest = (): Worker => threads.at(-1) ?? expect.fail("no thread was started");

const long = { document: "The gate is locked at nine. ".repeat(40_000), question: "When is it locked?" };

describe("a model's prompts", () => {
  it("are tokenised on a thread of their own, all of them on one", async () => {
    const prompts = await loadPrompts(NEEDLE_DIR);
    const asked = vi.spyOn(latest(), "postMessage");
    const [ids, count] = await Promise.all([prompts.encode(long), prompts.count(long)]);
    // Of a text of so many tokens the count is about right.
    expect(count).toBeCloseTo(ids.length, -3);
    await prompts.decode(ids.subarray(0, 10));
    await prompts.tokenTexts([4]);
    expect(asked.mock.calls.map(([call]) => call.method)).toEqual(["encode", "count", "decode", "tokenTexts"]);
    expect(threads).toHaveLength(1);
  });

  it("are lost with their thread, which the next one starts again", async () => {
    const prompts = await loadPrompts(NEEDLE_DIR);
    const lost = expect(prompts.encode(long)).rejects.toMatchObject({ code: "internal" });
    await latest().terminate();
    await lost;
    expect(await prompts.count({ text: "nine" })).toBeGreaterThan(0);
    expect(threads).toHaveLength(2);
  });

  it("say what is wrong as they would on this thread", async () => {
    await expect(loadPrompts("/no/such/model")).rejects.toMatchObject({
      name: "EngineError",
      code: "invalid_model",
      message: expect.stringContaining("/no/such/model"),
    });
  });

  it("do not keep a process alive that has nothing else to do", async () => {
    const prompt = new URL("../../../native/prompt/prompt.ts", import.meta.url).href;
    const script = `
      import { loadPrompts } from ${JSON.stringify(prompt)};
      const prompts = await loadPrompts(${JSON.stringify(NEEDLE_DIR)});
      process.stdout.write(String((await prompts.encode({ text: "nine" })).length > 0));`;
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "script.mjs");
    await writeFile(file, script);
    const { stdout } = await promisify(execFile)(process.execPath, [file]);
    expect(stdout).toBe("true");
  });
});
