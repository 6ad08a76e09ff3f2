import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JobRequest } from "../../../../api/contract/job-request.ts";
import { keys } from "../../../../api/contract/keys.ts";
import type { Claim } from "../../../../api/state/jobs/job-claims.ts";
import { createJobStore, type JobStore } from "../../../../api/state/jobs/job-store.ts";
import { claimJob } from "../../../support/claim-job.ts";
import { jobRequest } from "../../../support/job-fixtures.ts";
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

describe("submit", () => {
  test("stores the job and sends its pointer, and nothing else, to the tenant's group", async () => {
    const job = await submit();
    expect(job).toMatchObject({ status: "queued", attempt: 0, lease: null, tenant: "acme", model: "needle" });
    expect(job).toMatchObject({ created_ms: state.now(), metadata: { team: "archive" } });
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
    const racing = createJobStore({ objects, queue: fastWorker, now: state.now, newId: randomUUID, leaseMs });
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

test("a dead letter fails a job that nobody runs, and leaves one that somebody runs", async () => {
  const error = { code: "attempts_exhausted", message: "delivered 5 times" };
  const claim = await submitAndClaim();
  const { id } = claim.state;
  expect(await jobs.failAbandoned("acme", id, error)).toMatchObject({ status: "running" });
  state.advance(leaseMs);
  expect(await jobs.failAbandoned("acme", id, error)).toMatchObject({ status: "failed", error, lease: null });
  const queued = await submit();
  expect(await jobs.failAbandoned("acme", queued.id, error)).toMatchObject({ status: "failed" });
});

test("a sweep keeps on behind a job that cannot be read", async () => {
  const bad = await submit();
  state.advance(1);
  const late = await submit({ ttl_ms: 1_000 });
  await state.objects.put(keys.jobState("acme", bad.id), Buffer.from("{}"));
  state.advance(24 * 3_600_000);
  expect(await jobs.sweep()).toMatchObject({ ended: 1, next: null });
  expect(await jobs.get("acme", late.id)).toMatchObject({ status: "expired" });
});
