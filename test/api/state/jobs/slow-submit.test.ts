import { expect, it } from "vitest";
import { keys } from "../../../../api/contract/keys.ts";
import { limits } from "../../../../api/contract/limits.ts";
import { createJobStore, type JobStore } from "../../../../api/state/jobs/job-store.ts";
import type { ObjectStore } from "../../../../api/state/object-store.ts";
import { putStepsInTurn } from "../../../../api/state/put-steps.ts";
import { claimJob } from "../../../support/claim-job.ts";
import { jobRequest, jobResult } from "../../../support/job-fixtures.ts";
import { openTempState, type TempState } from "../../../support/temp-state.ts";

/** Writes object by object, as S3 does, and does `before` first. */
function slowed(objects: ObjectStore, before: (key: string) => Promise<void>): ObjectStore {
  const put: ObjectStore["put"] = async (key, body) => {
    await before(key);
    return objects.put(key, body);
  };
  const putIfAbsent: ObjectStore["putIfAbsent"] = async (key, body) => {
    await before(key);
    return objects.putIfAbsent(key, body);
  };
  return {
    ...objects,
    put,
    putIfAbsent,
    putSteps: (steps, check) => putStepsInTurn({ put, putIfAbsent }, steps, check),
  };
}

/** Has every sweeper look all through that time, each with a clock of its own. */
async function sweepFor(ms: number, { advance }: TempState, sweepers: readonly JobStore[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += limits.sweepMs) {
    advance(Math.min(limits.sweepMs, ms - passed));
    for (const jobs of sweepers) await jobs.sweep();
  }
}

it("a submit that takes as long as its store allows makes a job that runs, whatever the sweepers do", async () => {
  await using state = await openTempState({ isStill: true });
  const { now, objects, queue, advance } = state;
  const aheadOf = (ms: number) =>
    createJobStore({ objects, queue, now: () => now() + ms, newId: () => "", leaseMs: limits.leaseMs });
  const sweepers = [aheadOf(0), aheadOf(limits.clocksApartMs)];

  const id = "job_slow";
  const slow = slowed(objects, async (key) => {
    if (key === keys.jobRequest("t", id)) advance(limits.submitMs);
    if (key === keys.jobState("t", id)) await sweepFor(limits.conditionalWriteMs, state, sweepers);
  });
  const jobs = createJobStore({ objects: slow, queue, now, newId: () => "x", leaseMs: limits.leaseMs });
  const request = { ...jobRequest, idempotency_hash: "hash" };
  await jobs.submit("t", request, { fingerprint: "body", id });
  await sweepFor(limits.sweepMs, state, sweepers);

  expect(await jobs.getRequest("t", id)).toEqual(request);
  expect((await jobs.submit("t", request, { fingerprint: "body" })).state.id).toBe(id);
  expect((await queue.receive({ max: 10, waitMs: 0, visibilityMs: 1_000 })).length).toBeGreaterThan(0);
  const claim = await claimJob(state.jobs, "t", id, "w");
  expect(await state.jobs.settleSucceeded(claim, jobResult(id, 1))).toMatchObject({ status: "succeeded" });
});
