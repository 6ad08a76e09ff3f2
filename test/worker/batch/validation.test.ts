import { describe, expect, it } from "vitest";
import { limits } from "../../../api/contract/limits.ts";
import {
  chatLine,
  chatLines,
  createBatch,
  getBatch,
  openTestService,
  readLines,
} from "../../support/batch-fixtures.ts";

/** The errors of a batch of these lines, after its validation. */
async function errorsOf(lines: readonly unknown[]) {
  await using test = await openTestService();
  const { id } = await createBatch(test, lines);
  await test.work();
  const batch = await getBatch(test, id);
  expect(batch).toMatchObject({ status: "failed", request_counts: { total: 0, completed: 0, failed: 0 } });
  expect(batch.failed_at).toBeDefined();
  // Nothing of it may run.
  expect(await test.worker.messagesLeft()).toBe(0);
  return batch.errors?.data ?? [];
}

const words = (count: number): string => Array.from({ length: count }, (_, index) => `w${index}`).join(" ");

it("refuses the same custom_id twice, and names both lines", async () => {
  expect(await errorsOf([chatLine("a"), chatLine("b"), chatLine("a")])).toEqual([
    {
      code: "duplicate_custom_id",
      line: 3,
      message: 'Line 3: `custom_id` "a" is that of line 1 too.',
      param: "custom_id",
    },
  ]);
});

const deep = JSON.parse("[".repeat(limits.json.depth) + "]".repeat(limits.json.depth));

describe("refuses a file with a line", () => {
  it.each([
    ["that is no JSON", "{", "invalid_json_line", null],
    ["that is no object", "[]", "invalid_line", "body"],
    ["without a custom_id", { ...chatLine("a"), custom_id: undefined }, "missing_custom_id", "custom_id"],
    ["of another method", { ...chatLine("a"), method: "GET" }, "invalid_method", "method"],
    ["of another url", { ...chatLine("a"), url: "/v1/embeddings" }, "url_mismatch", "url"],
    ["for another model", chatLine("a", "x", { model: "gpt-9" }), "model_mismatch", "body.model"],
    ["nested too deeply", chatLine("a", "x", { metadata: deep }), "invalid_json_line", null],
    ["of too many values", chatLine("a", "x", { tools: Array(limits.json.values).fill(0) }), "invalid_json_line", null],
    ["with a field of no meaning", { ...chatLine("a"), colour: "red" }, "invalid_line", "colour"],
  ])("%s", async (_, line, code, param) => {
    expect(await errorsOf([line, chatLine("good")])).toMatchObject([{ code, line: 1, param }]);
  });

  it("with a name as long as the line, and says little of it", async () => {
    const name = "k".repeat(100_000);
    const errors = await errorsOf([{ ...chatLine("a"), [name]: 1 }, chatLine("b", "x", { [name]: 1 })]);
    expect(errors).toMatchObject([{ code: "invalid_line" }, { code: "invalid_request" }]);
    expect(JSON.stringify(errors).length).toBeLessThan(2_000);
  });

  it("that is no UTF-8", async () => {
    await using test = await openTestService();
    const form = new FormData();
    form.append("file", new Blob([Buffer.from([0x7b, 0xff, 0x7d, 0x0a])]), "in.jsonl");
    form.append("purpose", "batch");
    const { id } = (await (await test.app.request("/v1/files", { method: "POST", body: form })).json()) as {
      id: string;
    };
    const body = { input_file_id: id, endpoint: "/v1/chat/completions", completion_window: "24h" };
    const batch = (await (await test.post("/v1/batches", body)).json()) as { id: string };
    await test.work();
    expect((await getBatch(test, batch.id)).errors?.data).toMatchObject([{ code: "invalid_json_line", line: 1 }]);
  });
});

const OVER = "Line 2: over by 5 tokens: its prompt has 95, its answer may have 10, and words takes 100.";

describe("fails only the line", () => {
  it.each([
    [
      "that is too long, and says by how many tokens",
      chatLine("b", words(95)),
      "context_overflow",
      "body.messages",
      OVER,
    ],
    ["that wants a stream", chatLine("b", "x", { stream: true }), "invalid_request", "body.stream"],
    ["without messages", chatLine("b", "x", { messages: [] }), "invalid_request", "body.messages"],
    ["that wants what there is not", chatLine("b", "x", { n: 2 }), "invalid_request", "body.n"],
    [
      "with too many log-probabilities",
      chatLine("b", "x", { logprobs: true, top_logprobs: 21 }),
      "invalid_request",
      "body.top_logprobs",
    ],
  ])("%s", async (_, line, code, param, message = expect.stringMatching(/^Line 2: `body/)) => {
    await using test = await openTestService();
    const { id } = await createBatch(test, [chatLine("a"), line, chatLine("c")]);
    await test.work();
    // Told before anything runs.
    expect(await getBatch(test, id)).toMatchObject({
      status: "in_progress",
      errors: { data: [{ code, line: 2, message, param }] },
      request_counts: { total: 3, completed: 0, failed: 0 },
      quote: { requests: 2, prompt_tokens: 8, max_total_tokens: 28 },
    });
    const running = await test.begin();
    for (const index of [0, 1]) (await test.worker.sequence(index)).finish(1);
    await running.done;
    expect(test.worker.fake.sequences).toHaveLength(2);
    const batch = await getBatch(test, id);
    expect(batch).toMatchObject({ status: "completed", request_counts: { total: 3, completed: 2, failed: 1 } });
    expect(await readLines(test, batch.error_file_id)).toMatchObject([
      { custom_id: "b", response: null, error: { code, message } },
    ]);
    const answered = (await readLines(test, batch.output_file_id)).map(({ custom_id }) => custom_id);
    expect(answered.toSorted()).toEqual(["a", "c"]);
  });
});

it("completes a batch of which no line is valid, and fails each", async () => {
  await using test = await openTestService();
  const count = limits.shardLines + 1;
  const { id } = await createBatch(
    test,
    chatLines(count).map(({ custom_id }) => chatLine(custom_id, "x", { n: 2 })),
  );
  for (let jobs = 0; jobs < 3; jobs++) await test.work();
  const batch = await getBatch(test, id);
  expect(batch).toMatchObject({ status: "completed", request_counts: { total: count, completed: 0, failed: count } });
  expect(batch.output_file_id).toBeUndefined();
  expect(await readLines(test, batch.error_file_id)).toHaveLength(count);
  expect(test.worker.fake.sequences).toHaveLength(0);
});

it("lists what is wrong with lines in a dry run, and runs nothing", async () => {
  await using test = await openTestService();
  const lines = [chatLine("a"), chatLine("b", words(95)), chatLine("c", "x", { n: 2 })];
  const { id } = await createBatch(test, lines, { dry_run: true });
  await test.work();
  expect(await getBatch(test, id)).toMatchObject({
    status: "completed",
    errors: {
      data: [
        { code: "context_overflow", line: 2, message: OVER },
        { code: "invalid_request", line: 3 },
      ],
    },
    request_counts: { total: 3, completed: 0, failed: 2 },
    quote: { requests: 1, prompt_tokens: 4, max_total_tokens: 14 },
  });
  expect(await test.worker.messagesLeft()).toBe(0);
});

it("names first that for which no line runs, and of the lines those that are named in their order", async () => {
  const bad = Array.from({ length: limits.batchErrors }, (_, index) => chatLine(`bad-${index}`, "x", { n: 2 }));
  const errors = await errorsOf([...bad, "no"]);
  expect(errors).toHaveLength(limits.batchErrors + 1);
  expect(errors.filter(({ code }) => code === "invalid_json_line")).toMatchObject([{ line: limits.batchErrors + 1 }]);
  expect(errors.at(-1)).toMatchObject({ code: "more_errors", message: "1 more line is not valid." });
  const numbers = errors.slice(0, -1).map(({ line }) => line ?? 0);
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
});

it("refuses a file without lines, and one with too many", async () => {
  expect(await errorsOf(["", "  "])).toMatchObject([{ code: "empty_file", line: null }]);
  expect(await errorsOf(Array.from({ length: limits.batchLines + 1 }, () => "{}"))).toMatchObject([
    { code: "too_many_tasks", line: null },
  ]);
});

it("counts blank lines, and shows no more errors than are of use", async () => {
  const lines = ["", chatLine("a"), ...Array.from({ length: limits.batchErrors + 20 }, () => "no")];
  const errors = await errorsOf(lines);
  expect(errors).toHaveLength(limits.batchErrors + 1);
  expect(errors[0]?.line).toBe(3);
  expect(errors.at(-1)).toMatchObject({ code: "more_errors", message: "20 more lines are not valid." });
});

it("divides many lines into shards that a worker can hold, whatever their number", async () => {
  await using test = await openTestService();
  const { id } = await createBatch(test, chatLines(3 * limits.shardLines + 1));
  await test.work();
  const open = await test.state.batches.parts.listOpen({ tenant: "default", id });
  expect(open.map(({ shard }) => shard)).toEqual([0, 1, 2, 3]);
  const last = await test.state.jobs.getRequest("default", open[3]?.job ?? "");
  expect(last).toMatchObject({ prompt_tokens: [4], max_tokens: 10, priority: "low", input: { first_line: 97 } });
});
