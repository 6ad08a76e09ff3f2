import { PassThrough } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { jobProgress } from "../../../../api/client/command/job-progress.ts";
import { createProgress } from "../../../../api/client/command/progress.ts";

const line = (value: number) => ({ name: "prefill", value, total: 4_000, unit: "token" });

test("where there is no terminal it writes plain lines, now and then and at the end", async () => {
  const stream = new PassThrough();
  let written = "";
  stream.on("data", (chunk) => {
    written += String(chunk);
  });
  const progress = createProgress(stream, 20);
  progress.show([line(1_000)]);
  for (let value = 1_001; value < 1_200; value++) progress.show([line(value)]);
  await delay(100);
  progress.show([line(4_000)]);
  progress.stop();
  const lines = written.split("\n").filter((text) => text !== "");
  expect(lines.length).toBeLessThan(20);
  expect(lines.at(-1)).toMatch(/^prefill +█+ 4,000\/4,000 tokens$/);
  // No control sequences: it may be a log.
  expect(written).not.toContain("\u001b");
});

test("a narrow terminal has the numbers, and less of the bar or none", () => {
  const shown = (columns: number) => {
    const stream = Object.assign(new PassThrough(), {
      isTTY: true,
      columns,
      cursorTo: () => true,
      moveCursor: () => true,
      clearLine: () => true,
      clearScreenDown: () => true,
    });
    const progress = createProgress(stream);
    progress.show([{ ...line(2_000), note: "running" }]);
    progress.stop();
    return stripVTControlCharacters(String(stream.read()));
  };
  expect(shown(120)).toMatch(/prefill +█{15}░{15} 2,000\/4,000 tokens \| running/);
  expect(shown(50)).toMatch(/prefill +█+░+ 2,000\/4,000 tokens \| running/);
  expect(shown(40)).toMatch(/prefill +2,000\/4,000 tokens \| running/);
});

test("while it is paused it writes nothing", async () => {
  const stream = new PassThrough();
  const progress = createProgress(stream, 5);
  progress.show([line(1)]);
  progress.pause();
  stream.read();
  progress.show([line(2)]);
  await delay(30);
  expect(stream.read()).toBe(null);
});

test("the bars of a job go from its place in the queue to its last token", () => {
  const progress = {
    prompt_tokens: 100,
    prefill_tokens: 0,
    generated_tokens: 0,
    questions_done: 0,
    questions_total: 2,
  };
  expect(jobProgress({ status: "queued", progress, queue_position: 3 }, 16)).toMatchObject([
    { name: "prefill", value: 0, total: 100, note: "queued, 3 before it" },
    { name: "decode", value: 0, total: 32, note: "0/2 answers" },
  ]);
  const over = { ...progress, prefill_tokens: 100, generated_tokens: 20, questions_done: 2 };
  expect(jobProgress({ status: "succeeded", progress: over, queue_position: null }, 16)[1]).toMatchObject({
    value: 20,
    total: 20,
  });
  const unknown = { ...progress, generated_tokens: 9, questions_done: 1 };
  expect(jobProgress({ status: "running", progress: unknown, queue_position: null })[1]).toMatchObject({
    value: 1,
    total: 2,
    unit: "answer",
    note: "9 tokens",
  });
});
