import { describe, expect, it, vi } from "vitest";
import type { BatchOutputLine } from "../../../../api/contract/batch-line.ts";
import { keys } from "../../../../api/contract/keys.ts";
import { limits } from "../../../../api/contract/limits.ts";
import { openShardResults, readResults, resultId } from "../../../../api/state/batches/batch-results.ts";
import { createBatchStore } from "../../../../api/state/batches/batch-store.ts";
import { openTempState, type TempState } from "../../../support/temp-state.ts";

const batch = { tenant: "acme", id: "batch_1" };
const key = keys.batchResults(batch.tenant, batch.id, 0);

const answered = (line: number, content = "sun"): BatchOutputLine => ({
  id: resultId(batch.id, line),
  custom_id: `line-${line}`,
  response: {
    status_code: 200,
    request_id: "r",
    body: {
      content,
      usage: {
        prompt_tokens: 4,
        prompt_tokens_details: { cached_tokens: 1 },
        completion_tokens: 2,
        total_tokens: 6,
      },
    },
  },
  error: null,
});

/** The bytes of the results that were read since, [start, end) of each read. */
function watchReads({ objects }: TempState): [number, number][] {
  const reads: [number, number][] = [];
  const { getRange } = objects;
  vi.spyOn(objects, "getRange").mockImplementation((of, start, end) => {
    reads.push([start, end]);
    return getRange(of, start, end);
  });
  return reads;
}

const sizeOf = async ({ objects }: TempState) => (await objects.list(key))[0]?.bytes ?? 0;

describe("the counts of results that grow", () => {
  it("are exact, and read nothing twice", async () => {
    await using state = await openTempState();
    const { parts } = createBatchStore(state);
    const results = await openShardResults(state.objects, key);
    await results.append([answered(1), answered(2)]);
    const reads = watchReads(state);
    expect(await parts.counts(batch)).toMatchObject({ completed: 2, failed: 0, cachedTokens: 2 });
    const before = await sizeOf(state);
    const failed = { ...answered(3), response: null, error: { code: "internal", message: "no" } };
    await results.append([failed, answered(4)]);
    const four = { completed: 3, failed: 1, promptTokens: 12, cachedTokens: 3, completionTokens: 6 };
    expect(await parts.counts(batch)).toEqual(four);
    expect(await parts.counts(batch)).toEqual(four);
    expect(reads).toEqual([
      [0, before],
      [before, await sizeOf(state)],
    ]);
  });

  it("stay exact where an older listing comes late", async () => {
    await using state = await openTempState();
    const { parts } = createBatchStore(state);
    const results = await openShardResults(state.objects, key);
    await results.append([answered(1)]);
    const older = await parts.listResults(batch);
    await results.append([answered(2)]);
    expect(await parts.counts(batch)).toMatchObject({ completed: 2 });
    const list = vi.spyOn(state.objects, "list").mockResolvedValueOnce([]).mockResolvedValueOnce(older);
    expect(await parts.counts(batch)).toMatchObject({ completed: 2 });
    list.mockRestore();
    expect(await parts.counts(batch)).toMatchObject({ completed: 2 });
  });
});

it("results of many megabytes are read a piece at a time", async () => {
  await using state = await openTempState();
  const results = await openShardResults(state.objects, key);
  const long = "sun ".repeat(limits.resultPieceBytes / 8);
  await results.append([answered(1, long), answered(2, long), answered(3, long), answered(4)]);
  const reads = watchReads(state);
  const lines: number[] = [];
  for await (const { line } of readResults(state.objects, key, 0, await sizeOf(state))) lines.push(line);
  expect(lines).toEqual([1, 2, 3, 4]);
  expect(reads.length).toBeGreaterThan(1);
  expect(Math.max(...reads.map(([start, end]) => end - start))).toBe(limits.resultPieceBytes);
});
