import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AppError } from "../../../api/contract/errors.ts";
import { keys } from "../../../api/contract/keys.ts";
import { claimJob } from "../../support/claim-job.ts";
import { eventually } from "../../support/eventually.ts";
import { usage } from "../../support/job-fixtures.ts";
import { openTestWorker, type TestWorker } from "../../support/test-worker.ts";

let worker: TestWorker;
beforeEach(async () => {
  worker = await openTestWorker();
});
afterEach(() => worker[Symbol.asyncDispose]());

const engineError = (code: string) => Object.assign(new Error(`engine says ${code}`), { code });

describe("a job that runs through", () => {
  it("takes the seats of its questions, one less as each ends", async () => {
    await worker.submit(["why", "where"]);
    const delivery = worker.deliver(await worker.receive());
    expect(delivery.seats()).toBe(1);
    (await worker.sequence(1)).finish(1);
    await eventually(() => expect(delivery.seats()).toBe(1));
    (await worker.sequence(0)).finish(1);
    await delivery.done;
    expect(delivery.seats()).toBe(0);
  });

  it("shows progress while it runs", async () => {
    const id = await worker.submit(["why", "where is it"]);
    const delivery = worker.deliver(await worker.receive());
    expect(delivery.hasBegun()).toBe(false);
    (await worker.sequence(0)).progress(5, 2);
    (await worker.sequence(1)).progress(3);
    expect(delivery.hasBegun()).toBe(true);
    await eventually(async () =>
      expect((await worker.job(id)).progress).toEqual({
        prompt_tokens: 12,
        prefill_tokens: 8,
        generated_tokens: 2,
        questions_done: 0,
        questions_total: 2,
      }),
    );
    for (const sequence of worker.fake.sequences) sequence.finish(1);
    await delivery.done;
  });

  it("writes result, state and then deletes the message", async () => {
    await worker.submit();
    const order: string[] = [];
    const spy = <T extends object, K extends keyof T & string>(target: T, method: K) => {
      const original = target[method] as (...args: unknown[]) => unknown;
      vi.spyOn(target as Record<string, () => unknown>, method).mockImplementation((...args: unknown[]) => {
        order.push(`${method} ${String(args[0]).split("/").at(-1)}`);
        return original.apply(target, args);
      });
    };
    const message = await worker.receive();
    spy(worker.state.objects, "putIfAbsent");
    spy(worker.state.objects, "compareAndSwap");
    spy(worker.state.queue, "delete");
    const delivery = worker.deliver(message);
    (await worker.sequence(0)).finish(1);
    await delivery.done;
    expect(order.slice(-3)).toEqual([
      "putIfAbsent result.json",
      "compareAndSwap state.json",
      `delete ${message.receipt}`,
    ]);
  });
});

describe("a message that is not to be run", () => {
  it.each(["no json", "{}", '{"v":2,"tenant":"default","job":"j"}'])(
    "is deleted if it is malformed: %s",
    async (body) => {
      await worker.state.queue.send({ body });
      await worker.deliver(await worker.receive()).done;
      expect(await worker.messagesLeft()).toBe(0);
      expect(worker.log.error).toHaveBeenCalledWith(expect.anything(), "malformed message deleted");
    },
  );

  it("is deleted if there is no such job", async () => {
    await worker.state.queue.send({ body: JSON.stringify({ v: 1, tenant: "default", job: "none" }) });
    await worker.deliver(await worker.receive()).done;
    expect(await worker.messagesLeft()).toBe(0);
  });

  it("is deleted if the job is over, which stays as it was", async () => {
    const id = await worker.submit();
    const claim = await claimJob(worker.state.jobs, "default", id, "other");
    const before = await worker.state.jobs.settleFailed(claim, { code: "internal", message: "no" });
    await worker.deliver(await worker.receive()).done;
    expect(await worker.job(id)).toEqual(before);
    expect(await worker.messagesLeft()).toBe(0);
    expect(worker.fake.sequences).toEqual([]);
  });

  it("comes back when the lease of another worker ends", async () => {
    const id = await worker.submit();
    await worker.state.jobs.claim("default", id, "other");
    await worker.deliver(await worker.receive()).done;
    expect((await worker.job(id)).lease?.owner).toBe("other");
    worker.state.advance(worker.deps.limits.visibilityMs);
    const delivery = worker.deliver(await worker.receive());
    (await worker.sequence(0)).finish(1);
    await delivery.done;
    expect(await worker.job(id)).toMatchObject({ status: "succeeded", attempt: 2 });
  });
});

describe("a job that fails", () => {
  it("fails at once if it can never fit, and says why", async () => {
    await using small = await openTestWorker({ plan: { fits: false, reason: "needs 9 GiB of 1 GiB" } });
    const id = await small.submit();
    await small.deliver(await small.receive()).done;
    const { status, error } = await small.job(id);
    expect(status).toBe("failed");
    expect(error?.code).toBe("out_of_memory");
    expect(error?.message).toMatch(/Question 1 \(5 prompt tokens\).*needs 9 GiB of 1 GiB/);
    expect(small.fake.sequences).toEqual([]);
    expect(await small.messagesLeft()).toBe(0);
  });

  it("fails if its document was deleted", async () => {
    const id = await worker.submit(["why"], {
      input: { kind: "questions", document_ids: ["doc_gone"], questions: ["why"] },
    });
    await worker.deliver(await worker.receive()).done;
    expect(await worker.job(id)).toMatchObject({ status: "failed", error: { code: "document_not_found" } });
  });

  it("fails if it is for another model than the worker's", async () => {
    const id = await worker.submit(["why"], { model: "other" });
    await worker.deliver(await worker.receive()).done;
    expect(await worker.job(id)).toMatchObject({ status: "failed", error: { code: "model_not_found" } });
  });

  it("stops its other questions as soon as one fails", async () => {
    const id = await worker.submit(["why", "where"]);
    const delivery = worker.deliver(await worker.receive());
    (await worker.sequence(1)).fail(engineError("out_of_memory"));
    await delivery.done;
    expect(worker.fake.sequences.every(({ ended }) => ended)).toBe(true);
    expect(await worker.job(id)).toMatchObject({
      status: "failed",
      error: { code: "out_of_memory", message: "engine says out_of_memory" },
    });
  });

  it("goes back to the queue with a growing delay if another try may help", async () => {
    const id = await worker.submit();
    for (const [attempt, delayMs] of [1_000, 2_000].entries()) {
      const delivery = worker.deliver(await worker.receive());
      (await worker.sequence(attempt)).fail(engineError("internal"));
      await delivery.done;
      expect(await worker.job(id)).toMatchObject({ status: "queued", attempt: attempt + 1, lease: null, error: null });
      worker.state.advance(delayMs - 200);
      await expect(worker.receive()).rejects.toThrow("no message");
      worker.state.advance(300);
    }
  });

  it("fails for good after the last attempt, with the last reason but no inner message", async () => {
    const id = await worker.submit();
    for (let attempt = 0; attempt < worker.deps.limits.maxAttempts; attempt++) {
      const delivery = worker.deliver(await worker.receive());
      (await worker.sequence(attempt)).fail(engineError("internal"));
      await delivery.done;
      worker.state.advance(60_000);
    }
    const { status, error } = await worker.job(id);
    expect(status).toBe("failed");
    expect(error).toEqual({
      code: "attempts_exhausted",
      message: "Gave up after 5 attempts. The last one: The engine failed.",
    });
    expect(await worker.messagesLeft()).toBe(0);
  });

  it("asks for a new process if the device failed, and gives the job back", async () => {
    const id = await worker.submit();
    const delivery = worker.deliver(await worker.receive());
    (await worker.sequence(0)).fail(engineError("device_failed"));
    await delivery.done;
    expect(worker.onEngineDead).toHaveBeenCalledOnce();
    expect(await worker.job(id)).toMatchObject({ status: "queued", is_suspect: true });
  });
});

describe("a job whose worker died", () => {
  it("is failed when too many of its workers died", async () => {
    await using patient = await openTestWorker({ maxReceives: 100 });
    const id = await patient.submit();
    for (let death = 0; death < patient.deps.limits.maxAttempts; death++) {
      await patient.receive();
      await patient.state.jobs.claim("default", id, "dying");
      patient.state.advance(patient.deps.limits.visibilityMs);
    }
    await patient.deliver(await patient.receive()).done;
    expect(await patient.job(id)).toMatchObject({ status: "failed", error: { code: "attempts_exhausted" } });
    expect(await patient.messagesLeft()).toBe(0);
  });

  it("comes back once, when the job can be claimed again", async () => {
    const id = await worker.submit();
    await worker.receive();
    await worker.state.jobs.claim("default", id, "dying");
    worker.state.advance(worker.deps.limits.leaseMs + 1);
    await expect(worker.receive()).rejects.toThrow("no message");
    worker.state.advance(worker.deps.limits.visibilityMs - worker.deps.limits.leaseMs);
    const delivery = worker.deliver(await worker.receive());
    (await worker.sequence(0)).finish(1);
    await delivery.done;
    expect(await worker.job(id)).toMatchObject({ status: "succeeded", attempt: 2 });
  });

  it("is settled with the result that the dead worker left", async () => {
    const id = await worker.submit();
    await worker.receive();
    await worker.state.jobs.claim("default", id, "dying");
    const result = { object: "job.result", id, model: "words", attempt: 1, answers: [], usage: usage(5, 1) };
    await worker.state.objects.putIfAbsent(keys.jobResult("default", id), Buffer.from(JSON.stringify(result)));

    worker.state.advance(worker.deps.limits.visibilityMs);
    await worker.deliver(await worker.receive()).done;
    expect(await worker.job(id)).toMatchObject({ status: "succeeded", attempt: 2 });
    expect(await worker.state.jobs.getResult("default", id)).toEqual(result);
    expect(worker.fake.sequences).toEqual([]);
  });
});

describe("a job given back", () => {
  it("stops within the engine, is in the queue at once and has lost no attempt", async () => {
    const id = await worker.submit();
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    delivery.giveBack();
    await delivery.done;
    expect(sequence.ended).toBe(true);
    expect(await worker.job(id)).toMatchObject({ status: "queued", attempt: 0, lease: null });
    expect((await worker.receive()).receiveCount).toBe(2);
  });
});

describe("a job that is to end while it runs", () => {
  it("stops when it is cancelled, and keeps what was generated", async () => {
    const id = await worker.submit(["why", "where is it"]);
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(1);
    worker.fake.sequences[0]?.finish(1, 2);
    sequence.progress(7, 2);
    sequence.tokens(8, 9);
    await worker.state.jobs.cancel("default", id);
    await delivery.done;
    expect(sequence.ended).toBe(true);
    expect(await worker.job(id)).toMatchObject({ status: "cancelled", lease: null, usage: { completion_tokens: 4 } });
    expect((await worker.state.jobs.getPartial("default", id))?.answers).toMatchObject([
      { answer: "tokens 1 2", finish_reason: "stop" },
      { answer: "tokens 8 9", finish_reason: "cancelled" },
    ]);
    expect(await worker.messagesLeft()).toBe(0);
  });

  it("stops when its time is over", async () => {
    const id = await worker.submit(["why"], { ttl_ms: 30_000 });
    const delivery = worker.deliver(await worker.receive());
    await worker.sequence(0);
    worker.state.advance(30_000);
    await delivery.done;
    expect((await worker.job(id)).status).toBe("expired");
    expect(await worker.messagesLeft()).toBe(0);
  });
});

describe("a job whose lease is lost", () => {
  it("stops its run and leaves state and message to the other worker", async () => {
    const id = await worker.submit();
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    worker.state.advance(worker.deps.limits.visibilityMs);
    const taken = await worker.state.jobs.claim("default", id, "other");
    await delivery.done;
    expect(sequence.ended).toBe(true);
    expect(taken.kind).toBe("claimed");
    expect((await worker.job(id)).lease?.owner).toBe("other");
    expect(worker.log.warn).toHaveBeenCalledWith(expect.anything(), "lease lost, run stopped");
    expect(await worker.messagesLeft()).toBe(1);
  });

  it("stops its run if the lease ends while the store is out of reach", async () => {
    const id = await worker.submit();
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    vi.spyOn(worker.state.objects, "compareAndSwap").mockRejectedValue(new AppError("unavailable", "no route"));
    await eventually(() => expect(worker.log.warn).toHaveBeenCalledWith(expect.anything(), "heartbeat failed"));
    expect(sequence.ended).toBe(false);
    worker.state.advance(worker.deps.limits.visibilityMs);
    await delivery.done;
    expect(sequence.ended).toBe(true);
    vi.restoreAllMocks();
    expect((await worker.job(id)).status).toBe("running");
  });

  it("stops its run if the lease ends while the store does not answer", async () => {
    const id = await worker.submit();
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    let answer: (error: Error) => void = () => {};
    const hung = new Promise<never>((_, reject) => {
      answer = reject;
    });
    const swap = vi.spyOn(worker.state.objects, "compareAndSwap").mockReturnValue(hung);
    await eventually(() => expect(swap).toHaveBeenCalled());
    worker.state.advance(worker.deps.limits.leaseMs);
    await eventually(() => expect(sequence.ended).toBe(true));
    answer(new AppError("unavailable", "no answer"));
    await delivery.done;
    vi.restoreAllMocks();
    expect((await worker.job(id)).status).toBe("running");
    expect(await worker.messagesLeft()).toBe(1);
  });

  it("keeps lease and visibility ahead of the clock while it runs", async () => {
    const id = await worker.submit();
    const delivery = worker.deliver(await worker.receive());
    const sequence = await worker.sequence(0);
    for (let beat = 0; beat < 3; beat++) {
      const before = (await worker.job(id)).lease?.until_ms ?? 0;
      worker.state.advance(worker.deps.limits.leaseMs - 2_000);
      await eventually(async () => {
        const until = (await worker.job(id)).lease?.until_ms ?? 0;
        expect(until).toBeGreaterThan(before + worker.deps.limits.leaseMs - 3_000);
      });
      await expect(worker.receive()).rejects.toThrow("no message");
    }
    sequence.finish(1);
    await delivery.done;
    expect(await worker.job(id)).toMatchObject({ status: "succeeded", attempt: 1 });
  });
});
