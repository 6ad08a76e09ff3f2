import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JobRequest } from "../../../../api/contract/job-request.ts";
import { keys } from "../../../../api/contract/keys.ts";
import type { Claim } from "../../../../api/state/jobs/job-claims.ts";
import { createJobStore, type JobStore } from "../../../../api/state/jobs/job-store.ts";
import { openEmbedded } from "../../../support/embedded-state.ts";
import { jobProgress, jobRequest, jobResult } from "../../../support/job-fixtures.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const leaseMs = 60_000;
let nowMs: number;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let state: Awaited<ReturnType<typeof openEmbedded>>;
let jobs: JobStore;

beforeEach(async () => {
  nowMs = 1_800_000_000_000;
  directory = await temporaryDirectory();
  state = await openEmbedded(directory.path, () => nowMs);
  const { objects, queue } = state;
  jobs = createJobStore({ objects, queue, now: () => nowMs, newId: randomUUID, leaseMs });
});
afterEach(async () => {
  await state.close();
  await directory[Symbol.asyncDispose]();
});

const submit = async (changes: Partial<JobRequest> = {}) =>
  (await jobs.submit("acme", { ...jobRequest, ...changes })).state;

async function claimOf(id: string, owner = "worker"): Promise<Claim> {
  const result = await jobs.claim("acme", id, owner);
  if (result.kind !== "claimed") throw new Error(`the job is ${result.kind}`);
  return result.claim;
}

const submitAndClaim = async () => claimOf((await submit()).id);

describe("submit", () => {
  test("stores the job and sends its pointer, and nothing else, to the tenant's group", async () => {
    const job = await submit();
    expect(job).toMatchObject({ status: "queued", attempt: 0, lease: null, tenant: "acme", model: "needle" });
    expect(job).toMatchObject({ created_ms: nowMs, metadata: { team: "archive" } });
    expect(await jobs.get("acme", job.id)).toEqual(job);
    expect(await jobs.getRequest("acme", job.id)).toEqual(jobRequest);
    const messages = await state.queue.receive({ max: 10, waitMs: 0, visibilityMs: 1_000 });
    expect(messages.map(({ body }) => JSON.parse(body))).toEqual([
      {
        v: 1,
        tenant: "acme",
        job: job.id,
        priority: "normal",
        deliver_by_ms: null,
        reserved_tokens: 9_032,
        document: "doc_1",
      },
    ]);
  });

  test("is not undone by a worker that is faster than its last step", async () => {
    const { queue, objects } = state;
    let claimed: Claim | undefined;
    const fastWorker = {
      ...queue,
      async send(message: { body: string }) {
        await queue.send(message);
        claimed = await claimOf(JSON.parse(message.body).job);
      },
    };
    const racing = createJobStore({ objects, queue: fastWorker, now: () => nowMs, newId: randomUUID, leaseMs });
    const { id } = (await racing.submit("acme", jobRequest)).state;
    expect(await jobs.get("acme", id)).toEqual(claimed?.state);
  });
});

describe("reading", () => {
  test("what does not exist is null", async () => {
    expect(await jobs.get("acme", "none")).toBeNull();
    expect(await jobs.getRequest("acme", "none")).toBeNull();
    expect(await jobs.getResult("acme", "none")).toBeNull();
    expect(await jobs.claim("acme", "none", "w")).toEqual({ kind: "missing" });
    expect(await jobs.failAbandoned("acme", "none", { code: "c", message: "m" })).toBeNull();
  });

  test("a job of another tenant does not exist", async () => {
    const { id } = await submit();
    expect(await jobs.get("other", id)).toBeNull();
  });

  test.each(["../../other/j/1", "a/b", "", ".."])("%j names no job", async (id) => {
    expect(await jobs.get("acme", id)).toBeNull();
    expect(await jobs.claim("acme", id, "w")).toEqual({ kind: "missing" });
  });

  test("a record that is not a job is an error", async () => {
    await state.objects.put(keys.jobState("acme", "broken"), Buffer.from('{"version":2}'));
    await expect(jobs.get("acme", "broken")).rejects.toMatchObject({ code: "internal" });
  });
});

describe("claim", () => {
  test("takes a queued job as its first attempt", async () => {
    const { id } = await submit();
    nowMs += 10;
    const { state: job } = await claimOf(id, "worker-1");
    expect(job).toMatchObject({ status: "running", attempt: 1, started_ms: nowMs, revision: 2 });
    expect(job.lease).toMatchObject({ owner: "worker-1", until_ms: nowMs + leaseMs });
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
    const startedMs = nowMs;
    nowMs += leaseMs;
    const second = await claimOf(id, "lives");
    expect(second.state).toMatchObject({ attempt: 2, started_ms: startedMs, progress: jobProgress });
    expect(second.token).not.toBe(first.token);
  });

  test("of many who take over exactly one wins", async () => {
    const { state: job } = await submitAndClaim();
    nowMs += leaseMs;
    const results = await Promise.all(Array.from({ length: 20 }, (_, i) => jobs.claim("acme", job.id, `worker-${i}`)));
    expect(results.filter(({ kind }) => kind === "claimed")).toHaveLength(1);
    expect((await jobs.get("acme", job.id))?.attempt).toBe(2);
  });

  test("of a job that is over says so", async () => {
    const claim = await submitAndClaim();
    await jobs.settleFailed(claim, { code: "internal", message: "m" });
    nowMs += 2 * leaseMs;
    const result = await jobs.claim("acme", claim.state.id, "late");
    expect(result).toMatchObject({ kind: "terminal", state: { status: "failed", attempt: 1 } });
  });
});

describe("renew", () => {
  test("moves the end of the lease and shows progress", async () => {
    const claim = await submitAndClaim();
    nowMs += leaseMs - 1;
    const renewed = await jobs.renew(claim, { ...jobProgress, prefill_tokens: 1_234 });
    expect(renewed?.state.lease?.until_ms).toBe(nowMs + leaseMs);
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
    nowMs += 10 * leaseMs;
    expect(await jobs.renew(claim)).not.toBeNull();
  });

  test("is lost once another worker has the job", async () => {
    const claim = await submitAndClaim();
    nowMs += leaseMs;
    const { state: taken } = await claimOf(claim.state.id, "other");
    expect(await jobs.renew(claim)).toBeNull();
    expect(await jobs.get("acme", claim.state.id)).toEqual(taken);
  });
});

describe("settle", () => {
  test("success writes result and state once; settling again changes nothing", async () => {
    const claim = await submitAndClaim();
    const { id } = claim.state;
    nowMs += 5;
    const done = { ...jobProgress, questions_done: 1 };
    const settled = await jobs.settleSucceeded(claim, jobResult(id, 1), done);
    expect(settled).toMatchObject({
      status: "succeeded",
      lease: null,
      finished_ms: nowMs,
      error: null,
      progress: done,
    });
    nowMs += 5;
    expect(await jobs.settleSucceeded(claim, jobResult(id, 1, "another"))).toEqual(settled);
    expect(await jobs.getResult("acme", id)).toEqual(jobResult(id, 1));
    expect(await jobs.get("acme", id)).toEqual(settled);
  });

  test("failure keeps its reason; settling again changes nothing", async () => {
    const claim = await submitAndClaim();
    const settled = await jobs.settleFailed(claim, { code: "context_overflow", message: "too long" });
    expect(settled).toMatchObject({ status: "failed", error: { code: "context_overflow", message: "too long" } });
    nowMs += 5;
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
    nowMs += leaseMs;
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
    nowMs += leaseMs;
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
  nowMs += leaseMs;
  const second = await claimOf(id);
  // Its clock is ahead, so that the job's time is over there; and its lease is lost.
  expect(await jobs.settleStopped(first, "expired", jobResult(id, 1, "half an ans"))).toBeNull();
  expect(await jobs.getResult("acme", id)).toBeNull();
  expect(await jobs.settleSucceeded(second, jobResult(id, 2, "whole"))).toMatchObject({ status: "succeeded" });
  expect((await jobs.getResult("acme", id))?.answers[0]?.answer).toBe("whole");
});

describe("giving back", () => {
  test("a released job is queued again and can be claimed at once", async () => {
    const claim = await submitAndClaim();
    expect(await jobs.release(claim)).toMatchObject({ status: "queued", lease: null, attempt: 1 });
    expect(await jobs.renew(claim)).toBeNull();
    expect((await claimOf(claim.state.id)).state.attempt).toBe(2);
  });

  test("a dead letter fails a job that nobody runs, and leaves one that somebody runs", async () => {
    const error = { code: "attempts_exhausted", message: "delivered 5 times" };
    const claim = await submitAndClaim();
    const { id } = claim.state;
    expect(await jobs.failAbandoned("acme", id, error)).toMatchObject({ status: "running" });
    nowMs += leaseMs;
    expect(await jobs.failAbandoned("acme", id, error)).toMatchObject({ status: "failed", error, lease: null });
    const queued = await submit();
    expect(await jobs.failAbandoned("acme", queued.id, error)).toMatchObject({ status: "failed" });
  });
});

test("a sweep keeps on behind a job that cannot be read", async () => {
  const bad = await submit();
  nowMs += 1;
  const late = await submit({ ttl_ms: 1_000 });
  await state.objects.put(keys.jobState("acme", bad.id), Buffer.from("{}"));
  nowMs += 24 * 3_600_000;
  expect(await jobs.sweep()).toMatchObject({ ended: 1, next: null });
  expect(await jobs.get("acme", late.id)).toMatchObject({ status: "expired" });
});

test("every change raises the revision by one", async () => {
  const claim = await submitAndClaim();
  const renewed = (await jobs.renew(claim)) as Claim;
  const settled = await jobs.settleFailed(renewed, { code: "internal", message: "m" });
  expect([claim.state.revision, renewed.state.revision, settled?.revision]).toEqual([2, 3, 4]);
});
