import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { JobMessage } from "../../../api/contract/job.ts";
import { createJobStore, type JobStore } from "../../../api/state/job-store.ts";
import { type Break, breakingState } from "../../support/breaking-state.ts";
import { openEmbedded } from "../../support/embedded-state.ts";
import { jobProgress, jobRequest, jobResult } from "../../support/job-fixtures.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const leaseMs = 60_000;
const id = "job-1";

type Setting = {
  jobs: JobStore;
  /** The same jobs for a process that is cut off at some call. */
  broken: JobStore;
  receive: () => Promise<JobMessage[]>;
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

test("a submit cut off at any call can be repeated, and the job then runs", () =>
  atEveryCall(4, async ({ jobs, broken, receive }, at) => {
    const lastStep = at.call === 4;
    const first = broken.submit("t", jobRequest, jobProgress, id);
    // The last step only notes that the message was sent.
    if (lastStep) expect(await first).toMatchObject({ status: "queued" });
    else await expect(first).rejects.toMatchObject({ code: "unavailable" });

    expect(await jobs.submit("t", jobRequest, jobProgress, id)).toMatchObject({ status: "queued", revision: 2 });
    const messages = await receive();
    expect(messages.length).toBeGreaterThanOrEqual(1);
    expect(messages.length).toBeLessThanOrEqual(2);
    for (const message of messages) expect(message).toEqual({ v: 1, tenant: "t", job: id });

    const claims = await Promise.all(messages.map(({ tenant, job }) => jobs.claim(tenant, job, "w")));
    expect(claims.filter(({ kind }) => kind === "claimed")).toHaveLength(1);
  }));

test("a message is never there before its job", () =>
  atEveryCall(4, async ({ jobs, broken, receive }) => {
    await broken.submit("t", jobRequest, jobProgress, id).catch(() => {});
    for (const { tenant, job } of await receive()) {
      expect((await jobs.claim(tenant, job, "w")).kind).toBe("claimed");
      expect(await jobs.getRequest(tenant, job)).toEqual(jobRequest);
    }
  }));

test("a claim cut off at any call leaves a job that can be claimed once its lease has ended", () =>
  atEveryCall(2, async ({ jobs, broken, elapse }, at) => {
    await jobs.submit("t", jobRequest, jobProgress, id);
    await expect(broken.claim("t", id, "dies")).rejects.toMatchObject({ code: "unavailable" });
    const taken = at.call === 2 && at.effect === "done";
    elapse(taken ? leaseMs : 0);
    const result = await jobs.claim("t", id, "lives");
    expect(result).toMatchObject({ kind: "claimed", claim: { state: { attempt: taken ? 2 : 1 } } });
  }));

test("a success cut off at any call can be settled again by the same worker", () =>
  atEveryCall(2, async ({ jobs, broken }) => {
    await jobs.submit("t", jobRequest, jobProgress, id);
    const claimed = await jobs.claim("t", id, "w");
    if (claimed.kind !== "claimed") throw new Error(claimed.kind);
    await expect(broken.settleSucceeded(claimed.claim, jobResult(id, 1))).rejects.toMatchObject({
      code: "unavailable",
    });
    expect(await jobs.settleSucceeded(claimed.claim, jobResult(id, 1))).toMatchObject({ status: "succeeded" });
    expect(await jobs.getResult("t", id)).toEqual(jobResult(id, 1));
  }));

test("a success cut off at any call is finished by the next worker, with one result", () =>
  atEveryCall(2, async ({ jobs, broken, elapse }, at) => {
    await jobs.submit("t", jobRequest, jobProgress, id);
    const claimed = await jobs.claim("t", id, "dies");
    if (claimed.kind !== "claimed") throw new Error(claimed.kind);
    await broken.settleSucceeded(claimed.claim, jobResult(id, 1)).catch(() => {});
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
