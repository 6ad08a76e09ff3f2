import { describe, expect, it } from "vitest";
import { createWorkerReports } from "../../../../api/state/worker-reports.ts";
import { chatLine, createBatch, getBatch, openTestService } from "../../../support/batch-fixtures.ts";
import { workerReport } from "../../../support/worker-report.ts";

const price = { currency: "EUR", prompt: 1_000, cached: 100, completion: 10_000 };

// 4 and 2 words of prompt, 10 and 30 of an answer; the last line is not valid.
const LINES = [
  chatLine("a"),
  chatLine("b", "why not", { max_tokens: 30 }),
  chatLine("c", "one of three words", { n: 2 }),
];
const TOTALS = { requests: 2, prompt_tokens: 6, max_total_tokens: 6 + 40 };
// At the 100 prompt tokens and the 10 others that the worker says it does in a second.
const HOURS = (6 / 100 + 40 / 10) / 3_600;
const COST = { currency: "EUR", amount: (6 * 1_000 + 40 * 10_000) / 1e6 };

type Service = Awaited<ReturnType<typeof openTestService>>;

const report = ({ state }: Service, changes: Parameters<typeof workerReport>[0] = {}) =>
  createWorkerReports(state).put("w", workerReport({ updated_ms: state.now(), ...changes }));

/** Validated, by the worker of the service. */
async function quoted(test: Service, asked: object = { dry_run: true }) {
  const { id, quote } = await createBatch(test, LINES, asked);
  expect(quote).toBeNull();
  await test.work();
  return getBatch(test, id);
}

describe("the quote of a dry run", () => {
  it("has the tokens, the time and the cost of the valid lines", async () => {
    await using test = await openTestService({ price });
    await report(test);
    const { status, quote } = await quoted(test);
    expect(status).toBe("completed");
    expect(quote).toEqual({ ...TOTALS, estimated_hours: expect.closeTo(HOURS, 12), max_cost: COST });
  });

  it("has no time before a worker has said how fast it is, and no cost without prices", async () => {
    await using test = await openTestService();
    expect((await quoted(test)).quote).toEqual({ ...TOTALS, estimated_hours: null, max_cost: null });
    await using measuring = await openTestService({ price });
    await report(measuring, { prefill_tokens_per_second: null, decode_tokens_per_second: null });
    expect((await quoted(measuring)).quote).toEqual({ ...TOTALS, estimated_hours: null, max_cost: COST });
  });

  it("is that of the batch when it runs", async () => {
    await using test = await openTestService({ price });
    await report(test);
    const dry = await quoted(test);
    const real = await quoted(test, {});
    expect(real.status).toBe("in_progress");
    expect(real.quote).toEqual(dry.quote);
  });
});

describe("the quote of a batch that is over", () => {
  it("keeps the tokens and the cost, and says no more how long it would take", async () => {
    await using test = await openTestService({ price });
    await report(test);
    const { id } = await quoted(test, {});
    const running = await test.begin();
    for (const index of [0, 1]) (await test.worker.sequence(index)).finish(1);
    await running.done;
    const { status, quote } = await getBatch(test, id);
    expect(status).toBe("completed");
    expect(quote).toEqual({ ...TOTALS, estimated_hours: null, max_cost: COST });
  });

  it("does so too where it was cancelled", async () => {
    await using test = await openTestService({ price });
    await report(test);
    const { id } = await quoted(test, {});
    await test.post(`/v1/batches/${id}/cancel`, "");
    const { status, quote } = await getBatch(test, id);
    expect(status).toBe("cancelled");
    expect(quote).toEqual({ ...TOTALS, estimated_hours: null, max_cost: COST });
  });
});
