import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JobRequest } from "../../../../api/contract/job-request.ts";
import { keys } from "../../../../api/contract/keys.ts";
import type { Claim } from "../../../../api/state/jobs/job-claims.ts";
import type { JobStore } from "../../../../api/state/jobs/job-store.ts";
import { claimJob } from "../../../support/claim-job.ts";
import { jobProgress, jobRequest, jobResult } from "../../../support/job-fixtures.ts";
import { openTempState, type TempState } from "../../../support/temp-state.ts";

const leaseMs = 60_000;

let state: TempState;
let jobs: JobStore;
beforeEach(async () => {
  state = await openTempState({ leaseMs, isStill: true });
  jobs = state.jobs;
});
afterEach(() => state[Symbol.asyncDispose]());

const submit = async (changes: Partial<JobRequest> = {}) =>
  (await jobs.submit("acme", { ...jobRequest, ...changes })).state;

const claimOf = (id: string, owner = "worker") => claimJob(jobs, "acme", id, owner);
const submitAndClaim = async () => claimOf((await submit()).id);

describe("claim", () => {
  test("takes a queued job as its first attempt", async () => {
    const { id } = await submit();
    state.advance(10);
    const { state: job } = await claimOf(id, "worker-1");
    expect(job).toMatchObject({ status: "running", attempt: 1, started_ms: state.now(), revision: 2 });
    expect(job.lease).toMatchObject({ owner: "worker-1", until_ms: state.now() + leaseMs });
    expect(await jobs.get("acme", id)).toEqual(job);
  });

  test("of twenty claimers exactly one wins, the others are told who", async () => {
    const { id } = await submit();
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => jobs.claim("acme", id, `worker-${i}`)));
    expect(results.filter(({ kind }) => kind === "claimed")).toHaveLength(1);
    expect(results.filter(({ kind }) => kind === "leased")).toHaveLength(19);
    const job = await jobs.get("acme", id);
    expect(job?.attempt).toBe(1);
    for (const result of results) if (result.kind === "leased") expect(result.state.lease).toEqual(job?.lease);
  });

  test("takes over when the lease has ended, with a new token and its progress at zero", async () => {
    const { id } = await submit();
    const first = await claimOf(id, "dies");
    await jobs.renew(first, { ...jobProgress, prefill_tokens: 5_000, generated_tokens: 2 });
    const startedMs = state.now();
    state.advance(leaseMs);
    const second = await claimOf(id, "lives");
    expect(second.state).toMatchObject({ attempt: 2, started_ms: startedMs, progress: jobProgress });
    expect(second.token).not.toBe(first.token);
  });

  test("of many who take over exactly one wins", async () => {
    const { state: job } = await submitAndClaim();
    state.advance(leaseMs);
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => jobs.claim("acme", job.id, `worker-${i}`)));
    expect(results.filter(({ kind }) => kind === "claimed")).toHaveLength(1);
    expect((await jobs.get("acme", job.id))?.attempt).toBe(2);
  });

  test("of a job that is over says so", async () => {
    const claim = await submitAndClaim();
    await jobs.settleFailed(claim, { code: "internal", message: "m" });
    state.advance(2 * leaseMs);
    const result = await jobs.claim("acme", claim.state.id, "late");
    expect(result).toMatchObject({ kind: "terminal", state: { status: "failed", attempt: 1 } });
  });
});

describe("renew", () => {
  test("moves the end of the lease and shows progress", async () => {
    const claim = await submitAndClaim();
    state.advance(leaseMs - 1);
    const renewed = await jobs.renew(claim, { ...jobProgress, prefill_tokens: 1_234 });
    expect(renewed?.state.lease?.until_ms).toBe(state.now() + leaseMs);
    expect(renewed?.state.progress.prefill_tokens).toBe(1_234);
    expect(await jobs.get("acme", claim.state.id)).toEqual(renewed?.state);
    expect((await jobs.renew(renewed as Claim))?.state.progress.prefill_tokens).toBe(1_234);
  });

  test("with an older claim of the same attempt still holds", async () => {
    const claim = await submitAndClaim();
    await jobs.renew(claim);
    expect((await jobs.renew(claim))?.state.revision).toBe(claim.state.revision + 2);
  });

  test("a lease that ended but that nobody took is still the holder's", async () => {
    const claim = await submitAndClaim();
    state.advance(10 * leaseMs);
    expect(await jobs.renew(claim)).not.toBeNull();
  });

  test("is lost once another worker has the job", async () => {
    const claim = await submitAndClaim();
    state.advance(leaseMs);
    const { state: taken } = await claimOf(claim.state.id, "other");
    expect(await jobs.renew(claim)).toBeNull();
    expect(await jobs.get("acme", claim.state.id)).toEqual(taken);
  });
});

describe("settle", () => {
  test("success writes result and state once; settling again changes nothing", async () => {
    const claim = await submitAndClaim();
    const { id } = claim.state;
    state.advance(5);
    const done = { ...jobProgress, questions_done: 1 };
    const settled = await jobs.settleSucceeded(claim, jobResult(id, 1), done);
    expect(settled).toMatchObject({
      status: "succeeded",
      lease: null,
      finished_ms: state.now(),
      error: null,
      progress: done,
    });
    state.advance(5);
    expect(await jobs.settleSucceeded(claim, jobResult(id, 1, "another"))).toEqual(settled);
    expect(await jobs.getResult("acme", id)).toEqual(jobResult(id, 1));
    expect(await jobs.get("acme", id)).toEqual(settled);
  });

  test("failure keeps its reason; settling again changes nothing", async () => {
    const claim = await submitAndClaim();
    const settled = await jobs.settleFailed(claim, { code: "context_overflow", message: "too long" });
    expect(settled).toMatchObject({ status: "failed", error: { code: "context_overflow", message: "too long" } });
    state.advance(5);
    expect(await jobs.settleFailed(claim, { code: "internal", message: "m" })).toEqual(settled);
  });

  test("a terminal state absorbs every later change", async () => {
    const claim = await submitAndClaim();
    const { id } = claim.state;
    const settled = await jobs.settleSucceeded(claim, jobResult(id, 1));
    expect(await jobs.settleFailed(claim, { code: "internal", message: "m" })).toBeNull();
    expect(await jobs.release(claim)).toBeNull();
    expect(await jobs.renew(claim)).toBeNull();
    expect(await jobs.failAbandoned("acme", id, { code: "internal", message: "m" })).toEqual(settled);
    expect(await jobs.get("acme", id)).toEqual(settled);
  });

  test("a late worker does not touch the attempt that took over, nor the job after it", async () => {
    const late = await submitAndClaim();
    const { id } = late.state;
    state.advance(leaseMs);
    const holder = await claimOf(id, "other");
    expect(await jobs.settleFailed(late, { code: "internal", message: "m" })).toBeNull();
    expect(await jobs.release(late)).toBeNull();
    expect(await jobs.get("acme", id)).toEqual(holder.state);
    await jobs.settleFailed(holder, { code: "engine_failed", message: "m" });
    expect(await jobs.settleSucceeded(late, jobResult(id, 1))).toBeNull();
    expect((await jobs.get("acme", id))?.status).toBe("failed");
  });

  test("a result that a crashed attempt left is the job's result", async () => {
    const first = await submitAndClaim();
    const { id } = first.state;
    await state.objects.put(keys.jobResult("acme", id), Buffer.from(JSON.stringify(jobResult(id, 1, "first"))));
    state.advance(leaseMs);
    const second = await claimOf(id);
    expect(await jobs.settleSucceeded(second, jobResult(id, 2, "second"))).toMatchObject({
      status: "succeeded",
      attempt: 2,
    });
    expect((await jobs.getResult("acme", id))?.answers[0]?.answer).toBe("first");
  });
});

test("a part of the answers that a stray worker left is not taken for the result", async () => {
  const first = await submitAndClaim();
  const { id } = first.state;
  state.advance(leaseMs);
  const second = await claimOf(id);
  // Its clock is ahead, so that the job's time is over there; and its lease is lost.
  expect(await jobs.settleStopped(first, "expired", jobResult(id, 1, "half an ans"))).toBeNull();
  expect(await jobs.getResult("acme", id)).toBeNull();
  expect(await jobs.settleSucceeded(second, jobResult(id, 2, "whole"))).toMatchObject({ status: "succeeded" });
  expect((await jobs.getResult("acme", id))?.answers[0]?.answer).toBe("whole");
});

test("a released job is queued again and can be claimed at once", async () => {
  const claim = await submitAndClaim();
  expect(await jobs.release(claim)).toMatchObject({ status: "queued", lease: null, attempt: 1 });
  expect(await jobs.renew(claim)).toBeNull();
  expect((await claimOf(claim.state.id)).state.attempt).toBe(2);
});

test("every change raises the revision by one", async () => {
  const claim = await submitAndClaim();
  const renewed = (await jobs.renew(claim)) as Claim;
  const settled = await jobs.settleFailed(renewed, { code: "internal", message: "m" });
  expect([claim.state.revision, renewed.state.revision, settled?.revision]).toEqual([2, 3, 4]);
});
