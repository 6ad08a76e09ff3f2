import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createConsumer } from "../../worker/consumer.ts";
import { delay } from "../../worker/delay.ts";
import { openTestWorker, type TestWorker } from "../support/test-worker.ts";

let worker: TestWorker;
beforeEach(async () => {
  worker = await openTestWorker();
});
afterEach(() => worker[Symbol.asyncDispose]());

function consume(maxBatch: number) {
  const { deps, fake, state, log } = worker;
  const consumer = createConsumer({
    queue: state.queue,
    deliver: worker.deliver,
    room: (taken) => (fake.engine.stats().waiting > 0 ? 0 : maxBatch - taken),
    limits: { ...deps.limits, longPollMs: 200 },
    delay,
    log,
  });
  consumer.start();
  return consumer;
}

const soon = () => delay(150);

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
    await vi.waitFor(async () => {
      const jobs = await Promise.all(ids.map(worker.job));
      expect(jobs.map(({ status }) => status)).toEqual(["succeeded", "succeeded", "succeeded"]);
    });
    await consumer.stop(0);
  });

  it("takes nothing while sequences wait for memory", async () => {
    await worker.submit();
    worker.fake.setWaiting(1);
    const consumer = consume(8);
    await soon();
    expect(worker.fake.sequences).toEqual([]);
    worker.fake.setWaiting(0);
    (await worker.sequence(0)).finish(1);
    await consumer.stop(1000);
  });

  it("runs a job that has more questions than the batch has seats", async () => {
    const id = await worker.submit(["one", "two", "three"]);
    const consumer = consume(2);
    await worker.sequence(2);
    for (const sequence of worker.fake.sequences) sequence.finish(1);
    await vi.waitFor(async () => expect((await worker.job(id)).status).toBe("succeeded"));
    await consumer.stop(0);
  });

  it("goes on after the queue was out of reach", async () => {
    vi.spyOn(worker.state.queue, "receive").mockRejectedValueOnce(new Error("no route"));
    await worker.submit();
    const consumer = consume(1);
    await vi.waitFor(() => expect(worker.log.error).toHaveBeenCalledWith(expect.anything(), "receive failed"));
    await vi.waitFor(() => expect(worker.fake.sequences.length).toBe(1), 3000);
    await consumer.stop(0);
  });
});

describe("stopping", () => {
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
    expect(await worker.job(id)).toMatchObject({ status: "queued", lease: null });
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
    const consumer = consume(1);
    const started = performance.now();
    await consumer.stop(0);
    expect(performance.now() - started).toBeLessThan(150);
  });
});
