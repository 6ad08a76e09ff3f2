import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { StateEnv } from "../../../api/contract/env.ts";
import { startHeartbeatThread } from "../../../worker/lease/heartbeat-client.ts";
import { createLeases, JobStopped } from "../../../worker/lease/lease.ts";
import { eventually } from "../../support/eventually.ts";
import { jobRequest } from "../../support/job-fixtures.ts";
import { openTempState, type TempState } from "../../support/temp-state.ts";

const limits = { leaseMs: 1_200, visibilityMs: 1_300, heartbeatMs: 300, progressMs: 50 };

let state: TempState;
beforeEach(async () => {
  state = await openTempState({ leaseMs: limits.leaseMs });
});
afterEach(() => state[Symbol.asyncDispose]());

const log = { warn: vi.fn() };

async function start(onFailed: (error: Error) => void = () => {}) {
  const env = StateEnv.parse({ GNOMON_STATE_DIR: state.directory });
  const leases = createLeases({ now: state.now });
  const thread = await startHeartbeatThread({ env, limits, stallMs: 60_000, onFailed }, leases.tell);
  leases.connect(thread.beats);
  return { leases, [Symbol.asyncDispose]: () => thread.close() };
}

async function claimNew() {
  const { id } = (await state.jobs.submit("default", jobRequest)).state;
  const [message] = await state.queue.receive({ max: 1, waitMs: 0, visibilityMs: limits.visibilityMs });
  const claimed = await state.jobs.claim("default", id, "this worker");
  if (claimed.kind !== "claimed" || !message) throw new Error(claimed.kind);
  return { id, claim: claimed.claim, receipt: message.receipt };
}

const receiveNow = () => state.queue.receive({ max: 1, waitMs: 0, visibilityMs: 1_000 });

it("keeps lease and message while JavaScript blocks the main thread for longer than both last", async () => {
  await using worker = await start();
  const { id, claim, receipt } = await claimNew();
  const lease = worker.leases.hold(claim, receipt, log);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000);

  expect((await state.jobs.claim("default", id, "other")).kind).toBe("leased");
  expect(await receiveNow()).toEqual([]);
  expect((await state.jobs.settleFailed(await lease.end(), { code: "internal", message: "" }))?.status).toBe("failed");
});

it("tells of a cancel and of a lost lease", async () => {
  await using worker = await start();
  const first = await claimNew();
  const cancelled = worker.leases.hold(first.claim, first.receipt, log);
  await state.jobs.cancel("default", first.id);
  await eventually(() => expect(cancelled.stopped.reason).toBeInstanceOf(JobStopped));
  await cancelled.end();

  const second = await claimNew();
  const lost = worker.leases.hold(second.claim, second.receipt, log);
  await state.jobs.settleFailed(second.claim, { code: "internal", message: "" });
  await eventually(() => expect(lost.stopped.reason).toMatchObject({ code: "lease_lost" }));
});

it("writes progress, and nothing more once the lease was ended", async () => {
  await using worker = await start();
  const { id, claim, receipt } = await claimNew();
  const lease = worker.leases.hold(claim, receipt, log);
  const progress = { ...claim.state.progress, prefill_tokens: 5 };
  lease.report(progress);
  await eventually(async () => expect((await state.jobs.get("default", id))?.progress).toEqual(progress));
  await state.jobs.release(await lease.end());
  const released = await state.jobs.get("default", id);
  await new Promise((resolve) => setTimeout(resolve, 2 * limits.heartbeatMs));
  expect(await state.jobs.get("default", id)).toEqual(released);
});

it("keeps a message hidden that nobody has claimed, until it is dropped", async () => {
  await using worker = await start();
  await state.jobs.submit("default", jobRequest);
  const [message] = await state.queue.receive({ max: 1, waitMs: 0, visibilityMs: limits.visibilityMs });
  const receipt = message?.receipt ?? "";
  worker.leases.hide(receipt);
  await new Promise((resolve) => setTimeout(resolve, 2 * limits.visibilityMs));
  expect(await receiveNow()).toEqual([]);
  await worker.leases.drop(receipt);
  expect(await state.queue.extend(receipt, 0)).toBe(true);
  expect((await receiveNow()).length).toBe(1);
});

it("cannot start without its state", async () => {
  const env = StateEnv.parse({ GNOMON_STATE_DIR: "/dev/null/nothing" });
  const leases = createLeases({ now: state.now });
  await expect(startHeartbeatThread({ env, limits, stallMs: 60_000, onFailed() {} }, leases.tell)).rejects.toThrow(
    "cannot be opened",
  );
});

it("ends a process whose main thread never comes back, for its jobs to go to others", async () => {
  const script = fileURLToPath(new URL("../../support/stalled-worker.ts", import.meta.url));
  const stalled = spawn(process.execPath, [script, state.directory, "2000"], { stdio: ["ignore", "pipe", "inherit"] });
  const said = stalled.stdout.toArray();
  const [, signal] = await once(stalled, "close");
  expect(Buffer.concat(await said).toString()).toBe("stalls\n");
  expect(signal).toBe("SIGKILL");
});
