import { describe, expect, it, vi } from "vitest";
import { keys } from "../../../api/contract/keys.ts";
import { limits } from "../../../api/contract/limits.ts";
import { advanceBatch } from "../../../api/state/batches/batch-record.ts";
import {
  chatLine,
  chatLines,
  createBatch,
  getBatch,
  openTestService,
  readLines,
  readResults,
} from "../../support/batch-fixtures.ts";
import { eventually } from "../../support/eventually.ts";

const cancel = (test: Awaited<ReturnType<typeof openTestService>>, id: string) =>
  test.post(`/v1/batches/${id}/cancel`, "");

describe("a batch", () => {
  it("is validated, run and gathered into its output file", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(3), { metadata: { night: "1" } });
    expect(await getBatch(test, id)).toMatchObject({ status: "validating", request_counts: { total: 0 }, quote: null });
    await test.work();
    expect(await getBatch(test, id)).toMatchObject({
      status: "in_progress",
      request_counts: { total: 3, completed: 0, failed: 0 },
      quote: { requests: 3, prompt_tokens: 12, max_total_tokens: 42 },
    });

    const running = await test.begin();
    for (const index of [2, 0, 1]) (await test.worker.sequence(index)).finish(7, index);
    await running.done;
    const batch = await getBatch(test, id);
    expect(batch).toMatchObject({
      status: "completed",
      metadata: { night: "1" },
      request_counts: { total: 3, completed: 3, failed: 0 },
      usage: { input_tokens: 12, output_tokens: 6, total_tokens: 18, input_tokens_details: { cached_tokens: 0 } },
    });
    expect(batch.error_file_id).toBeUndefined();
    const lines = await readLines(test, batch.output_file_id);
    expect(lines.map(({ custom_id }) => custom_id).sort()).toEqual(["line-1", "line-2", "line-3"]);
    const second = lines.find(({ custom_id }) => custom_id === "line-2");
    expect(second).toMatchObject({
      error: null,
      response: {
        status_code: 200,
        body: {
          object: "chat.completion",
          model: "words",
          choices: [{ message: { role: "assistant", content: "tokens 7 1" }, finish_reason: "stop" }],
          usage: { prompt_tokens: 4, completion_tokens: 2, total_tokens: 6 },
        },
      },
    });
    expect(second?.response?.body.id).toBe(`chatcmpl-${second?.id}`);
    expect(await test.worker.messagesLeft()).toBe(0);
  });

  it("has the measured times of each line in the log, and nothing of its text", async () => {
    await using test = await openTestService();
    await createBatch(test, chatLines(1));
    await test.work();
    const running = await test.begin();
    (await test.worker.sequence(0)).finish(7, 8);
    await running.done;
    const timings = { queue_ms: expect.any(Number), prefill_ms: expect.any(Number), decode_ms: expect.any(Number) };
    const usage = expect.objectContaining({ prompt_tokens: 4, completion_tokens: 2 });
    expect(test.worker.log.debug.mock.calls).toEqual([[{ line: 1, usage, timings }, "line answered"]]);
  });

  it("can be read line by line while it runs, and its files are the merge of that", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(limits.shardLines + 2));
    await test.work();
    const first = await test.begin();
    const last = await test.worker.sequence(limits.shardLines - 1);
    last.finish(1);
    const early = await eventually(async () => {
      const results = await readResults(test, id);
      expect(results.lines).toHaveLength(1);
      return results;
    });
    expect((await getBatch(test, id)).request_counts).toEqual({ total: 34, completed: 1, failed: 0 });
    for (const sequence of test.worker.fake.sequences) sequence.finish(1);
    await first.done;

    const second = await test.begin();
    (await test.worker.sequence(limits.shardLines)).finish(1);
    (await test.worker.sequence(limits.shardLines + 1)).fail(new Error("no"));
    for (let again = 2; again < 2 + limits.lineAttempts - 1; again++) {
      (await test.worker.sequence(limits.shardLines + again)).fail(new Error("no"));
    }
    await second.done;
    const rest = await readResults(test, id, early.cursor);
    const all = await readResults(test, id);
    expect(rest.lines).toHaveLength(33);
    expect(new Set([...early.lines, ...rest.lines].map(({ id }) => id)).size).toBe(34);
    const { output_file_id, error_file_id, request_counts } = await getBatch(test, id);
    const output = await readLines(test, output_file_id);
    const errors = await readLines(test, error_file_id);
    expect(request_counts).toEqual({ total: 34, completed: 33, failed: 1 });
    expect(output).toEqual(all.lines.filter(({ error }) => error === null));
    expect(errors).toEqual(all.lines.filter(({ error }) => error !== null));
  });

  it("loses nothing but the line that can never run", async () => {
    await using test = await openTestService({ plan: { fits: false, reason: "too large" } });
    const { id } = await createBatch(test, chatLines(2));
    await test.work();
    await test.work();
    const batch = await getBatch(test, id);
    expect(batch).toMatchObject({ status: "completed", request_counts: { total: 2, completed: 0, failed: 2 } });
    expect(batch.output_file_id).toBeUndefined();
    const [line] = await readLines(test, batch.error_file_id);
    expect(line).toMatchObject({ response: null, error: { code: "out_of_memory" } });
  });

  it("is expired where lines are left at its end, and keeps the others", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(limits.shardLines + 1));
    await test.work();
    const first = await test.begin();
    await test.worker.sequence(limits.shardLines - 1);
    for (const sequence of test.worker.fake.sequences) sequence.finish(1);
    await first.done;
    test.state.advance(limits.batchWindowMs);
    await test.state.jobs.sweep();
    const batch = await getBatch(test, id);
    expect(batch).toMatchObject({ status: "expired", request_counts: { total: 33, completed: 32, failed: 1 } });
    expect(await readLines(test, batch.error_file_id)).toMatchObject([
      { custom_id: "line-33", response: null, error: { code: "batch_expired" } },
    ]);
    expect(await readLines(test, batch.output_file_id)).toHaveLength(32);
  });

  it("is expired if nobody validated it in time", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(1));
    test.state.advance(limits.batchWindowMs + 1);
    await test.state.jobs.sweep();
    expect(await getBatch(test, id)).toMatchObject({ status: "expired", request_counts: { total: 0 } });
  });

  it("runs nothing of a dry run, and says what it would take", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(5), { dry_run: true });
    await test.work();
    expect(await getBatch(test, id)).toMatchObject({
      status: "completed",
      dry_run: true,
      request_counts: { total: 5, completed: 0, failed: 0 },
      quote: { requests: 5, prompt_tokens: 20, max_total_tokens: 70, max_cost: null },
    });
    expect(await test.worker.messagesLeft()).toBe(0);
  });
});

describe("a cancel", () => {
  it("ends a batch that waits, at once", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(3));
    expect((await cancel(test, id)).status).toBe(200);
    expect(await getBatch(test, id)).toMatchObject({ status: "cancelled", request_counts: { total: 0 } });
    await test.work();
    expect(test.worker.fake.sequences).toHaveLength(0);
  });

  it("ends a batch of which a job is made in the same moment", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(limits.shardLines + 1));
    const { open } = test.state.batches.parts;
    vi.spyOn(test.state.batches.parts, "open").mockImplementationOnce(async (...part) => {
      await open(...part);
      await cancel(test, id);
    });
    await test.work();
    expect(await getBatch(test, id)).toMatchObject({ status: "cancelled", request_counts: { total: 33, failed: 33 } });
    await test.state.jobs.sweep();
    expect(await test.state.objects.list(keys.active)).toEqual([]);
  });

  it("ends a batch of which a job was announced and never made", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(2));
    await test.state.batches.parts.open({ tenant: "default", id }, { shard: 0, job: "job_never-made" });
    // Who cancelled it broke off before anything else.
    await test.state.batches.change("default", id, (batch) => advanceBatch(batch, "cancelling", test.state.now()));
    await test.work();
    expect(await getBatch(test, id)).toMatchObject({ status: "cancelled" });
  });

  it("stops what runs, and keeps what is answered", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(3));
    await test.work();
    const running = await test.begin();
    (await test.worker.sequence(1)).finish(1);
    await test.worker.sequence(2);
    const response = await cancel(test, id);
    expect(await response.json()).toMatchObject({ status: "cancelling" });
    await running.done;
    expect(test.worker.fake.sequences.every(({ ended }) => ended)).toBe(true);
    const batch = await getBatch(test, id);
    expect(batch).toMatchObject({ status: "cancelled", request_counts: { total: 3, completed: 1, failed: 2 } });
    expect(await readLines(test, batch.output_file_id)).toMatchObject([{ custom_id: "line-2" }]);
    expect(await readLines(test, batch.error_file_id)).toMatchObject([
      { custom_id: "line-1", error: { code: "batch_cancelled" } },
      { custom_id: "line-3", error: { code: "batch_cancelled" } },
    ]);
    expect((await cancel(test, id)).status).toBe(200);
  });

  it("keeps the answers and the usage of a shard that had ended, where another has not begun", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(limits.shardLines + 1));
    await test.work();
    const first = await test.begin();
    await test.worker.sequence(limits.shardLines - 1);
    for (const sequence of test.worker.fake.sequences) sequence.finish(7, 8);
    await first.done;
    const answered = (await readResults(test, id)).lines;
    expect(answered).toHaveLength(limits.shardLines);
    expect((await cancel(test, id)).status).toBe(200);
    const batch = await getBatch(test, id);
    expect(batch).toMatchObject({
      status: "cancelled",
      request_counts: { total: limits.shardLines + 1, completed: limits.shardLines, failed: 1 },
      usage: { input_tokens: 4 * limits.shardLines, output_tokens: 2 * limits.shardLines },
    });
    const output = await readLines(test, batch.output_file_id);
    expect(output).toEqual(answered);
    expect(output[0]?.response?.body.choices).toMatchObject([{ message: { content: "tokens 7 8" } }]);
    expect(await readLines(test, batch.error_file_id)).toMatchObject([
      { custom_id: `line-${limits.shardLines + 1}`, response: null, error: { code: "batch_cancelled" } },
    ]);
    await test.work();
    expect(test.worker.fake.sequences).toHaveLength(limits.shardLines);
  });
});

describe("a worker that dies", () => {
  it("costs no line that had its answer, and none gets two", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(3));
    await test.work();
    // Never heard of again: it is not given back.
    void test.begin();
    (await test.worker.sequence(0)).finish(1);
    await eventually(async () => expect((await readResults(test, id)).lines).toHaveLength(1));
    await test.die();

    const again = await test.begin();
    // The others run one by one, as either may have been the cause.
    const second = await test.worker.sequence(0);
    expect(test.worker.fake.sequences).toHaveLength(1);
    second.finish(2);
    (await test.worker.sequence(1)).finish(3);
    await again.done;
    const batch = await getBatch(test, id);
    expect(batch).toMatchObject({ status: "completed", request_counts: { total: 3, completed: 3, failed: 0 } });
    const lines = await readLines(test, batch.output_file_id);
    expect(lines.map(({ custom_id }) => custom_id)).toEqual(["line-1", "line-2", "line-3"]);
  });

  it("fails the line that kills it each time, and answers the others", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, chatLines(2));
    await test.work();
    void test.begin();
    await test.worker.sequence(1);
    for (let deaths = 0; deaths < limits.lineDeaths; deaths++) {
      await test.die();
      void test.begin();
      await test.worker.sequence(0);
    }
    await test.die();
    const again = await test.begin();
    (await test.worker.sequence(0)).finish(1);
    await again.done;
    const batch = await getBatch(test, id);
    expect(batch).toMatchObject({ status: "completed", request_counts: { total: 2, completed: 1, failed: 1 } });
    expect(await readLines(test, batch.error_file_id)).toMatchObject([
      { custom_id: "line-1", error: { code: "attempts_exhausted" } },
    ]);
    expect(await readLines(test, batch.output_file_id)).toMatchObject([{ custom_id: "line-2" }]);
  });

  it("in the middle of making the shards leaves none out, and makes none twice", async () => {
    await using test = await openTestService();
    const { id } = await createBatch(test, [chatLine("a"), chatLine("b")]);
    const message = await test.worker.receive();
    const submit = vi.spyOn(test.worker.deps.jobs, "submit").mockRejectedValueOnce(new Error("gone"));
    await test.worker.deliver(message).done;
    expect(await getBatch(test, id)).toMatchObject({ status: "in_progress", request_counts: { total: 2 } });
    submit.mockRestore();
    test.state.advance(60_000);
    await test.work();
    const shard = await test.begin();
    (await test.worker.sequence(0)).finish(1);
    (await test.worker.sequence(1)).finish(1);
    await shard.done;
    expect(await getBatch(test, id)).toMatchObject({ status: "completed", request_counts: { completed: 2 } });
    expect(test.worker.fake.sequences).toHaveLength(2);
  });
});
