import { afterEach, beforeEach, expect, it } from "vitest";
import { limits } from "../../../api/contract/limits.ts";
import { buryDeadLetter } from "../../../worker/queue/dead-letter.ts";
import { openTestWorker, type TestWorker } from "../../support/test-worker.ts";

let worker: TestWorker;
beforeEach(async () => {
  worker = await openTestWorker({ maxReceives: 1 });
});
afterEach(() => worker[Symbol.asyncDispose]());

/** Receives the job once, lets its lease end, and receives what is then in the dead-letter queue. */
async function dieOnce(claimId: string | null) {
  await worker.receive();
  if (claimId) await worker.state.jobs.claim("default", claimId, "dying");
  worker.state.advance(limits.visibilityMs);
  await expect(worker.receive()).rejects.toThrow("no message");
  return receiveDead();
}

async function receiveDead() {
  const dead = worker.state.queue.deadLetter;
  const [message] = (await dead?.receive({ max: 1, waitMs: 0, visibilityMs: 1000 })) ?? [];
  if (!dead || !message) throw new Error("no dead letter");
  return { dead, message };
}

const bury = ({ dead, message }: Awaited<ReturnType<typeof receiveDead>>) =>
  buryDeadLetter(message, { ...worker.deps, queue: dead, source: worker.state.queue });

/** As many attempts as a job may have. */
async function exhaust(id: string) {
  for (let attempt = 0; attempt < limits.maxAttempts; attempt++) {
    await worker.state.jobs.claim("default", id, "dying");
    worker.state.advance(limits.leaseMs);
  }
}

it("fails a job whose workers died", async () => {
  const id = await worker.submit();
  await exhaust(id);
  await bury(await dieOnce(null));
  expect(await worker.job(id)).toMatchObject({ status: "failed", error: { code: "attempts_exhausted" }, lease: null });
  worker.state.advance(3_600_000);
  await expect(receiveDead()).rejects.toThrow("no dead letter");
});

it("leaves a job alone while a worker has it, and looks again", async () => {
  const id = await worker.submit();
  await exhaust(id);
  const letter = await dieOnce(null);
  await worker.state.jobs.claim("default", id, "alive");
  await bury(letter);
  expect((await worker.job(id)).status).toBe("running");
  worker.state.advance(limits.visibilityMs);
  await bury(await receiveDead());
  expect((await worker.job(id)).status).toBe("failed");
});

it("sends a job anew whose message was only given back often, at the cost of an attempt", async () => {
  const id = await worker.submit();
  await bury(await dieOnce(null));
  expect(await worker.job(id)).toMatchObject({ status: "queued", attempt: 1, lease: null });
  expect((await worker.receive()).receiveCount).toBe(1);
  worker.state.advance(3_600_000);
  await expect(receiveDead()).rejects.toThrow("no dead letter");
});

it("removes a message that is no pointer", async () => {
  await worker.state.queue.send({ body: "no json" });
  await bury(await dieOnce(null));
  worker.state.advance(3_600_000);
  await expect(receiveDead()).rejects.toThrow("no dead letter");
});
