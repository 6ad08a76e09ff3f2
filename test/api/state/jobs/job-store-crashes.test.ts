import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { JobMessage } from "../../../../api/contract/job.ts";
import { brokenOffMs } from "../../../../api/state/jobs/idempotency.ts";
import { createJobStore, type JobStore } from "../../../../api/state/jobs/job-store.ts";
import type { ObjectStore } from "../../../../api/state/object-store.ts";
import { type Break, breakingState } from "../../../support/breaking-state.ts";
import { claimJob } from "../../../support/claim-job.ts";
import { openEmbedded } from "../../../support/embedded-state.ts";
import { jobRequest, jobResult } from "../../../support/job-fixtures.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const leaseMs = 60_000;
const retried = { ...jobRequest, idempotency_hash: "hash" };

type Setting = {
  jobs: JobStore;
  /** The same jobs for a process that is cut off at some call. */
  broken: JobStore;
  receive: () => Promise<JobMessage[]>;
  objects: ObjectStore;
  elapse: (ms: number) => void;
};

/** Runs `use` once for each call of the steps it breaks, with and without the effect of that call. */
async function atEveryCall(calls: number, use: (setting: Setting, at: Break) => Promise<void>): Promise<void> {
  for (let call = 1; call <= calls; call++) {
    for (const effect of ["none", "done"] as const) {
      await using directory = await temporaryDirectory();
      let nowMs = 1_800_000_000_000;
      const now = () => nowMs;
      const { objects, queue, close } = await openEmbedded(directory.path, now);
      const deps = { objects, queue, now, newId: randomUUID, leaseMs };
      const cut = breakingState(objects, queue, { call, effect });
      const setting: Setting = {
        objects,
        jobs: createJobStore(deps),
        broken: createJobStore({ ...deps, objects: cut.objects, queue: cut.queue }),
        async receive() {
          const messages = await queue.receive({ max: 10, waitMs: 0, visibilityMs: leaseMs });
          return messages.map(({ body }) => JobMessage.parse(JSON.parse(body)));
        },
        elapse(ms) {
          nowMs += ms;
        },
      };
      await use(setting, { call, effect });
      expect(cut.calls(), `call ${call} was reached`).toBeGreaterThanOrEqual(call);
      await close();
    }
  }
}

/** The calls of a submit: active entry, request and index, idempotency record, state, message, its mark. */
const accepted = (at: Break) => at.call > 5 || (at.call === 5 && at.effect === "done");

test("a submit cut off at any call leaves a job that runs, or nothing at all", () =>
  atEveryCall(7, async ({ jobs, broken, objects, receive, elapse }, at) => {
    const first = await broken.submit("t", retried, { fingerprint: "body" }).catch(() => null);
    expect(first !== null, "acknowledged").toBe(at.call > 5);
    // Nobody waits for the mark of a message that was sent.
    await setTimeout(10);
    elapse(brokenOffMs + 1);
    const sent = at.call > 6 || (at.call === 6 && at.effect === "done");
    const marked = at.call === 7 && at.effect === "done";
    expect(await jobs.sweep()).toEqual({
      sent: accepted(at) && !marked ? 1 : 0,
      discarded: at.call > 1 || at.effect === "done" ? (accepted(at) ? 0 : 1) : 0,
      ended: 0,
      next: null,
    });
    const messages = await receive();
    if (!accepted(at)) {
      expect(messages).toEqual([]);
      expect(await objects.list("")).toEqual([]);
      return;
    }
    expect(messages).toHaveLength(sent && !marked ? 2 : 1);
    const claims = await Promise.all(messages.map(({ tenant, job }) => jobs.claim(tenant, job, "w")));
    expect(claims.filter(({ kind }) => kind === "claimed")).toHaveLength(1);
    // Nothing is left to do a second time.
    expect(await jobs.sweep()).toMatchObject({ sent: 0, discarded: 0, ended: 0 });
  }));

test("a submit cut off at any call can be sent again with its key, and makes one job", () =>
  atEveryCall(7, async ({ jobs, broken, objects, receive, elapse }, at) => {
    await broken.submit("t", retried, { fingerprint: "body" }).catch(() => null);
    elapse(brokenOffMs + 1);
    const again = await jobs.submit("t", retried, { fingerprint: "body" });
    expect(again.replayed).toBe(accepted(at));
    await jobs.sweep();
    expect(await jobs.index.list("t", { limit: 10 })).toHaveLength(1);
    expect((await objects.list("t/t/j/")).length).toBe(2);
    const claims = await Promise.all((await receive()).map(({ tenant, job }) => jobs.claim(tenant, job, "w")));
    expect(claims.filter(({ kind }) => kind === "claimed")).toHaveLength(1);
  }));

test("a submit that is still at it is not taken for a broken one", () =>
  atEveryCall(5, async ({ jobs, broken, objects }) => {
    await broken.submit("t", retried, { fingerprint: "body" }).catch(() => null);
    const before = await objects.list("");
    expect(await jobs.sweep()).toEqual({ sent: 0, discarded: 0, ended: 0, next: null });
    expect(await objects.list("")).toEqual(before);
  }));

test("a message is never there before its job", () =>
  atEveryCall(6, async ({ jobs, broken, receive }) => {
    await broken.submit("t", jobRequest).catch(() => {});
    for (const { tenant, job } of await receive()) {
      expect((await jobs.claim(tenant, job, "w")).kind).toBe("claimed");
      expect(await jobs.getRequest(tenant, job)).toEqual(jobRequest);
    }
  }));

test("a deletion cut off at any call can be repeated, and then nothing of the job is left", () =>
  atEveryCall(9, async ({ jobs, broken, objects }) => {
    const { id } = (await jobs.submit("t", retried)).state;
    await jobs.cancel("t", id);
    await broken.delete("t", id).catch(() => null);
    // Null where all but the answer was done.
    const again = await jobs.delete("t", id);
    if (again !== null) expect(again.removed).toBe(true);
    expect(await objects.list("")).toEqual([]);
  }));

test("a claim cut off at any call leaves a job that can be claimed once its lease has ended", () =>
  atEveryCall(2, async ({ jobs, broken, elapse }, at) => {
    const { id } = (await jobs.submit("t", jobRequest)).state;
    await expect(broken.claim("t", id, "dies")).rejects.toMatchObject({ code: "unavailable" });
    const taken = at.call === 2 && at.effect === "done";
    elapse(taken ? leaseMs : 0);
    const result = await jobs.claim("t", id, "lives");
    expect(result).toMatchObject({ kind: "claimed", claim: { state: { attempt: taken ? 2 : 1 } } });
  }));

test("a success cut off at any call can be settled again by the same worker", () =>
  atEveryCall(2, async ({ jobs, broken }) => {
    const { id } = (await jobs.submit("t", jobRequest)).state;
    const claim = await claimJob(jobs, "t", id, "w");
    await expect(broken.settleSucceeded(claim, jobResult(id, 1))).rejects.toMatchObject({
      code: "unavailable",
    });
    expect(await jobs.settleSucceeded(claim, jobResult(id, 1))).toMatchObject({ status: "succeeded" });
    expect(await jobs.getResult("t", id)).toEqual(jobResult(id, 1));
  }));

test("a success cut off at any call is finished by the next worker, with one result", () =>
  atEveryCall(2, async ({ jobs, broken, elapse }, at) => {
    const { id } = (await jobs.submit("t", jobRequest)).state;
    const claim = await claimJob(jobs, "t", id, "dies");
    await broken.settleSucceeded(claim, jobResult(id, 1)).catch(() => {});
    elapse(leaseMs);
    const next = await jobs.claim("t", id, "lives");
    if (at.call === 2 && at.effect === "done") {
      expect(next).toMatchObject({ kind: "terminal", state: { status: "succeeded", attempt: 1 } });
      return;
    }
    if (next.kind !== "claimed") throw new Error(next.kind);
    const left = await jobs.getResult("t", id);
    expect(left === null).toBe(at.call === 1 && at.effect === "none");
    expect(await jobs.settleSucceeded(next.claim, jobResult(id, 2))).toMatchObject({ status: "succeeded", attempt: 2 });
    expect(await jobs.getResult("t", id)).toEqual(left ?? jobResult(id, 2));
  }));
