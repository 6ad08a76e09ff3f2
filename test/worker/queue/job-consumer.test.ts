import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { delay } from "../../../worker/delay.ts";
import { backoffMs } from "../../../worker/failure.ts";
import { createJobConsumer } from "../../../worker/queue/job-consumer.ts";
import { eventually } from "../../support/eventually.ts";
import { openTestWorker, type TestWorker } from "../../support/test-worker.ts";

let worker: TestWorker;
const consumers: { stop(graceMs: number): Promise<void> }[] = [];
beforeEach(async () => {
  worker = await openTestWorker();
});
afterEach(async () => {
  // A test that failed has left its own running.
  await Promise.all(consumers.splice(0).map((consumer) => consumer.stop(0)));
  await worker[Symbol.asyncDispose]();
});

const plenty = { deviceBytes: 1e12, hostBytes: 1e12 };

function consume(maxBatch: number, { lookAhead = 1, capacity = plenty } = {}) {
  const { deps, fake, state, log } = worker;
  const consumer = createJobConsumer({
    queue: state.queue,
    take: worker.take,
    batch: () => ({ waiting: fake.engine.stats().waiting, capacity }),
    maxBatch,
    lookAhead,
    limits: { ...deps.limits, longPollMs: 200 },
    now: state.now,
    delay,
    log,
  });
  consumer.start();
  consumers.push(consumer);
  return consumer;
}

const soon = () => delay(150);
const engineError = (code: string) => Object.assign(new Error(`engine says ${code}`), { code });

describe("receiving", () => {
  it("fills the batch, and refills it as sequences end", async () => {
    const ids = [await worker.submit(), await worker.submit(), await worker.submit()];
    const consumer = consume(2);
    await worker.sequence(1);
    await soon();
    expect(worker.fake.sequences.length).toBe(2);
    worker.fake.sequences[0]?.finish(1);
    (await worker.sequence(2)).finish(1);
    worker.fake.sequences[1]?.finish(1);
    await eventually(async () => {
      const jobs = await Promise.all(ids.map(worker.job));
      expect(jobs.map(({ status }) => status)).toEqual(["succeeded", "succeeded", "succeeded"]);
    });
    await consumer.stop(0);
  });

  it("starts nothing while sequences wait inside the engine", async () => {
    await worker.submit();
    const consumer = consume(8);
    await worker.sequence(0);
    worker.fake.setWaiting(1);
    await worker.submit();
    await soon();
    expect(worker.fake.sequences.length).toBe(1);
    worker.fake.setWaiting(0);
    (await worker.sequence(1)).finish(1);
    await consumer.stop(0);
  });

  it("runs a job that has more questions than the batch has seats", async () => {
    const id = await worker.submit(["one", "two", "three"]);
    const consumer = consume(2);
    await worker.sequence(2);
    for (const sequence of worker.fake.sequences) sequence.finish(1);
    await eventually(async () => expect((await worker.job(id)).status).toBe("succeeded"));
    await consumer.stop(0);
  });

  it("goes on after the queue was out of reach", async () => {
    vi.spyOn(worker.state.queue, "receive").mockRejectedValueOnce(new Error("no route"));
    await worker.submit();
    const consumer = consume(1);
    await eventually(() => expect(worker.log.error).toHaveBeenCalledWith(expect.anything(), "receive failed"));
    await eventually(() => expect(worker.fake.sequences.length).toBe(1));
    await consumer.stop(0);
  });
});

describe("choosing", () => {
  it("holds a few jobs beyond the batch, hidden from others, and starts the most urgent first", async () => {
    const running = await worker.submit();
    const consumer = consume(1, { lookAhead: 2 });
    await worker.sequence(0);
    await worker.submit(["is it low"], { priority: "low" });
    await worker.submit(["is it of high priority"], { priority: "high" });
    await soon();
    for (let lease = 0; lease < 2; lease++) {
      worker.state.advance(worker.deps.limits.leaseMs - 2_000);
      await soon();
    }
    await expect(worker.receive()).rejects.toThrow("no message");
    worker.fake.sequences[0]?.finish(1);
    expect((await worker.sequence(1)).request.tokens.length).toBe(9);
    expect((await worker.job(running)).status).toBe("succeeded");
    await consumer.stop(0);
  });

  it("runs a job alone whose last worker died, and the others after it", async () => {
    const suspect = await worker.submit();
    await worker.state.jobs.claim("default", suspect, "dying");
    worker.state.advance(worker.deps.limits.leaseMs + 1);
    await worker.submit();
    const consumer = consume(8, { lookAhead: 8 });
    await worker.sequence(0);
    await soon();
    const sequences = worker.fake.sequences.length;
    for (const sequence of worker.fake.sequences) sequence.finish(1);
    (await worker.sequence(1)).finish(1);
    await eventually(async () => expect((await worker.job(suspect)).status).toBe("succeeded"));
    expect(sequences).toBe(1);
    await consumer.stop(0);
  });
});

describe("jobs that ran when the engine died", () => {
  it("run alone, one after the other, before those that did not", async () => {
    const ids = [await worker.submit(), await worker.submit()];
    const dying = consume(8, { lookAhead: 8 });
    await worker.sequence(1);
    for (const sequence of worker.fake.sequences) sequence.fail(engineError("device_failed"));
    await eventually(async () => {
      for (const id of ids) expect(await worker.job(id)).toMatchObject({ status: "queued", is_suspect: true });
    });
    await dying.stop(0);
    const bystander = await worker.submit();
    worker.state.advance(backoffMs(1));
    const consumer = consume(8, { lookAhead: 8 });
    for (const index of [2, 3]) {
      await worker.sequence(index);
      await soon();
      expect(worker.fake.sequences.length).toBe(index + 1);
      expect(await worker.job(bystander)).toMatchObject({ status: "queued", is_suspect: false });
      worker.fake.sequences[index]?.finish(1);
    }
    (await worker.sequence(4)).finish(1);
    await eventually(async () => {
      for (const id of [...ids, bystander]) expect((await worker.job(id)).status).toBe("succeeded");
    });
    await consumer.stop(0);
  });
});

describe("stopping", () => {
  it("gives back what waits at hand, which costs it no attempt", async () => {
    await worker.submit();
    const consumer = consume(1, { lookAhead: 3 });
    (await worker.sequence(0)).progress(1);
    const waiting = await worker.submit();
    await soon();
    const stopped = consumer.stop(10_000);
    await eventually(async () => expect((await worker.receive()).receiveCount).toBe(2));
    expect(await worker.job(waiting)).toMatchObject({ status: "queued", attempt: 0 });
    worker.fake.sequences[0]?.finish(1);
    await stopped;
  });

  it("lets what runs finish and takes nothing more", async () => {
    const id = await worker.submit();
    const consumer = consume(1);
    const sequence = await worker.sequence(0);
    sequence.progress(1);
    const later = await worker.submit();
    const stopped = consumer.stop(10_000);
    await soon();
    sequence.finish(1);
    await stopped;
    expect((await worker.job(id)).status).toBe("succeeded");
    expect(await worker.job(later)).toMatchObject({ status: "queued", attempt: 0 });
  });

  it("gives back at once what has not begun", async () => {
    const id = await worker.submit();
    const consumer = consume(1);
    await worker.sequence(0);
    await consumer.stop(60_000);
    expect(await worker.job(id)).toMatchObject({ status: "queued", attempt: 0, lease: null });
    expect((await worker.receive()).receiveCount).toBe(2);
  });

  it("gives back what still runs when the time of grace is over", async () => {
    const id = await worker.submit();
    const consumer = consume(1);
    (await worker.sequence(0)).progress(1);
    await consumer.stop(100);
    expect(await worker.job(id)).toMatchObject({ status: "queued", lease: null });
    expect(await worker.messagesLeft()).toBe(1);
  });

  it("ends a long poll at once", async () => {
    const receive = vi.spyOn(worker.state.queue, "receive");
    receive.mockImplementation(
      ({ signal }) => new Promise((resolve) => signal?.addEventListener("abort", () => resolve([]))),
    );
    await consume(1).stop(0);
    expect(receive).toHaveBeenCalledOnce();
  });
});
