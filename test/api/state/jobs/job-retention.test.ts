import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { keys } from "../../../../api/contract/keys.ts";
import { createJobStore, type JobStore } from "../../../../api/state/jobs/job-store.ts";
import { claimJob } from "../../../support/claim-job.ts";
import { jobRequest, jobResult } from "../../../support/job-fixtures.ts";
import { openTempState, type TempState } from "../../../support/temp-state.ts";

const days = 24 * 3_600_000;

let state: TempState;
let jobs: JobStore;
beforeEach(async () => {
  state = await openTempState();
  jobs = createJobStore({ ...state, newId: randomUUID, leaseMs: 60_000, retentionMs: 30 * days });
});
afterEach(() => state[Symbol.asyncDispose]());

const submit = async (tenant: string, key: string | null = null) =>
  (await jobs.submit(tenant, { ...jobRequest, idempotency_hash: key }, { fingerprint: "body" })).state.id;

async function end(tenant: string, id: string): Promise<void> {
  await jobs.settleSucceeded(await claimJob(jobs, tenant, id, "w"), jobResult(id, 1));
}

const objects = async () => (await state.objects.list("")).map(({ key }) => key);

it("removes every object of every tenant's jobs that are past their retention", async () => {
  for (const tenant of ["acme", "acme-2", "acme0", "zoo"]) {
    for (let n = 0; n < 3; n++) await end(tenant, await submit(tenant, `key ${n}`));
  }
  expect(await jobs.removeOld()).toBe(0);
  state.advance(30 * days + 1);
  expect(await jobs.removeOld()).toBe(12);
  expect(await objects()).toEqual([]);
});

it("keeps jobs that run still, or ended later than they were made", async () => {
  const [old, late, queued] = [await submit("t"), await submit("t"), await submit("t")];
  await end("t", old);
  state.advance(20 * days);
  await end("t", late);
  state.advance(11 * days);
  const young = await submit("t");
  await end("t", young);
  expect(await jobs.removeOld()).toBe(1);
  expect(await Promise.all([old, late, queued, young].map((id) => jobs.get("t", id)))).toEqual([
    null,
    expect.objectContaining({ status: "succeeded" }),
    expect.objectContaining({ status: "queued" }),
    expect.objectContaining({ status: "succeeded" }),
  ]);
  expect((await objects()).filter((key) => key.includes(old))).toEqual([]);
});

it("shows a job no more once its time is over, before anything has removed it, and lets its key be used again", async () => {
  const id = await submit("t", "key");
  await end("t", id);
  state.advance(30 * days + 1);
  expect(await jobs.get("t", id)).toBeNull();
  expect(await jobs.findByKey("t", "key", "body")).toBeNull();
  const again = await jobs.submit("t", { ...jobRequest, idempotency_hash: "key" }, { fingerprint: "body" });
  expect(again.replayed).toBe(false);
  expect(await jobs.removeOld()).toBe(1);
  // The key stands for the new job now.
  expect((await jobs.findByKey("t", "key", "body"))?.id).toBe(again.state.id);
});

it("keeps on with other tenants, where a job cannot be read", async () => {
  const bad = await submit("acme");
  await end("zoo", await submit("zoo"));
  await state.objects.put(keys.jobState("acme", bad), Buffer.from("{}"));
  state.advance(30 * days + 1);
  expect(await jobs.removeOld()).toBe(1);
});
