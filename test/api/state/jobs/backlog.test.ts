import { expect, it } from "vitest";
import { type Backlog, rememberBacklog } from "../../../../api/state/jobs/backlog.ts";

const backlogOf = (jobs: number): Backlog => ({ jobs, gpuSeconds: 0, oldestMs: null });

it("measures once for all who ask within the time, and again after it or when the clock was put back", async () => {
  let nowMs = 1_000_000;
  let measured = 0;
  const backlog = rememberBacklog(
    async () => backlogOf(++measured),
    10_000,
    () => nowMs,
  );
  expect(await Promise.all([backlog(), backlog()])).toEqual([backlogOf(1), backlogOf(1)]);
  nowMs += 9_999;
  expect(await backlog()).toEqual(backlogOf(1));
  nowMs += 1;
  expect(await backlog()).toEqual(backlogOf(2));
  nowMs -= 3_600_000;
  expect(await backlog()).toEqual(backlogOf(3));
});

it("does not remember what failed", async () => {
  let measured = 0;
  const measure = async () => {
    measured += 1;
    if (measured === 1) throw new Error("the store is away");
    return backlogOf(measured);
  };
  const backlog = rememberBacklog(measure, 10_000, () => 1_000_000);
  await expect(backlog()).rejects.toThrow("away");
  expect(await backlog()).toEqual(backlogOf(2));
});
