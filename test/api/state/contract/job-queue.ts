import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { JobQueue, ReceivedMessage } from "../../../../api/state/job-queue.ts";

export type OpenedQueue = {
  queue: JobQueue;
  /** Lets this much of the queue's time pass. */
  elapse: (ms: number) => Promise<void>;
  close: () => Promise<void>;
};

type Suite = {
  /** Opens an empty queue that gives a message up after three deliveries. */
  open: () => Promise<OpenedQueue>;
  /** Why it cannot be relied on that a receipt ends with the next delivery; null if it can. */
  staleReceiptsAccepted: string | null;
  setUp?: () => Promise<void>;
  tearDown?: () => Promise<void>;
  skip?: string | null;
};

/** What every adapter of the queue must do. `skip` is the reason not to run, shown in the report. */
export function describeJobQueue(name: string, suite: Suite): void {
  const { open, staleReceiptsAccepted, setUp, tearDown, skip = null } = suite;

  describe.skipIf(skip !== null)(skip === null ? name : `${name}: ${skip}`, () => {
    let opened: OpenedQueue;
    let queue: JobQueue;
    const visibilityMs = 2_000;
    /** Longer than a test may take: a poll that does not end before fails it. */
    const foreverMs = 120_000;
    const why = staleReceiptsAccepted === null ? "" : `: ${staleReceiptsAccepted}`;
    const receive = (max = 10, waitMs = 0) => queue.receive({ max, waitMs, visibilityMs });
    const receiveOne = async (): Promise<ReceivedMessage> => {
      const [message] = await receive(1);
      if (message === undefined) throw new Error("no message was visible");
      return message;
    };
    const bodies = (messages: ReceivedMessage[]) => messages.map(({ body }) => body).sort();
    /** Receives until there is nothing more. */
    const drain = async (from: JobQueue) => {
      const all: ReceivedMessage[] = [];
      for (;;) {
        const messages = await from.receive({ max: 10, waitMs: 0, visibilityMs: 60_000 });
        if (messages.length === 0) return all;
        all.push(...messages);
      }
    };

    beforeAll(async () => setUp?.());
    afterAll(async () => tearDown?.());
    beforeEach(async () => {
      opened = await open();
      queue = opened.queue;
      return () => opened.close();
    });

    test("a message arrives with its body, for the first time", async () => {
      await queue.send({ body: '{"v":1,"text":"ü"}', groupId: "tenant" });
      const message = await receiveOne();
      expect(message).toMatchObject({ body: '{"v":1,"text":"ü"}', receiveCount: 1 });
    });

    test("an empty queue gives nothing", async () => {
      expect(await receive()).toEqual([]);
    });

    test("a received message is hidden, and comes back counted when its visibility ends", async () => {
      await queue.send({ body: "m" });
      const first = await receiveOne();
      expect(await receive()).toEqual([]);
      await opened.elapse(visibilityMs + 100);
      const second = await receiveOne();
      expect(second).toMatchObject({ id: first.id, body: "m", receiveCount: 2 });
    });

    test("a deleted message does not come back", async () => {
      await queue.send({ body: "m" });
      expect(await queue.delete((await receiveOne()).receipt)).toBe(true);
      await opened.elapse(visibilityMs + 100);
      expect(await receive()).toEqual([]);
    });

    test("extending hides a message for longer", async () => {
      await queue.send({ body: "m" });
      const { receipt } = await receiveOne();
      await opened.elapse(1_000);
      expect(await queue.extend(receipt, 5_000)).toBe(true);
      await opened.elapse(visibilityMs);
      expect(await receive()).toEqual([]);
      expect(await queue.delete(receipt)).toBe(true);
    });

    test("extending by nothing gives a message back at once", async () => {
      await queue.send({ body: "m" });
      expect(await queue.extend((await receiveOne()).receipt, 0)).toBe(true);
      expect(await receiveOne()).toMatchObject({ body: "m", receiveCount: 2 });
    });

    test("a message that is gone cannot be extended", async () => {
      await queue.send({ body: "m" });
      const { receipt } = await receiveOne();
      await queue.delete(receipt);
      expect(await queue.extend(receipt, 5_000)).toBe(false);
    });

    test.skipIf(staleReceiptsAccepted !== null)(`a receipt ends with the next delivery${why}`, async () => {
      await queue.send({ body: "m" });
      const stale = await receiveOne();
      await opened.elapse(visibilityMs + 100);
      const fresh = await receiveOne();
      expect(await queue.extend(stale.receipt, 60_000)).toBe(false);
      expect(await queue.delete(stale.receipt)).toBe(false);
      expect(await queue.delete(fresh.receipt)).toBe(true);
    });

    test.skipIf(staleReceiptsAccepted !== null)(
      `a visible message cannot be extended, but still be deleted by who had it${why}`,
      async () => {
        await queue.send({ body: "m" });
        const { receipt } = await receiveOne();
        await opened.elapse(visibilityMs + 100);
        expect(await queue.extend(receipt, 5_000)).toBe(false);
        expect(await queue.delete(receipt)).toBe(true);
        expect(await receive()).toEqual([]);
      },
    );

    test("a delayed message waits for its time", async () => {
      await queue.send({ body: "later", delaySeconds: 2 });
      expect(await receive()).toEqual([]);
      await opened.elapse(2_100);
      expect(bodies(await receive())).toEqual(["later"]);
    });

    test("a batch larger than a request arrives whole, each message once", async () => {
      const sent = Array.from({ length: 23 }, (_, i) => `m${String(i).padStart(2, "0")}`);
      await queue.sendBatch(sent.map((body) => ({ body, groupId: "g" })));
      expect(bodies(await drain(queue))).toEqual(sent);
    });

    test("an empty batch is fine", async () => {
      await queue.sendBatch([]);
      expect(await receive()).toEqual([]);
    });

    test("receive gives at most what was asked for", async () => {
      await queue.sendBatch(Array.from({ length: 15 }, (_, i) => ({ body: `${i}` })));
      expect((await receive(3)).length).toBeLessThanOrEqual(3);
      expect((await receive(12)).length).toBeLessThanOrEqual(12);
    });

    test("a long poll ends when a message comes", async () => {
      const waiting = receive(10, foreverMs);
      await new Promise((resolve) => setTimeout(resolve, 200));
      await queue.send({ body: "awaited" });
      expect(bodies(await waiting)).toEqual(["awaited"]);
    });

    test("a long poll ends empty after its wait", async () => {
      const started = performance.now();
      expect(await receive(10, 1_000)).toEqual([]);
      expect(performance.now() - started).toBeGreaterThanOrEqual(900);
    });

    test("a receive aborted beforehand takes nothing", async () => {
      await queue.send({ body: "m" });
      const aborted = { max: 10, waitMs: 1_000, visibilityMs, signal: AbortSignal.abort() };
      expect(await queue.receive(aborted)).toEqual([]);
      expect(await receiveOne()).toMatchObject({ receiveCount: 1 });
    });

    test("an aborted long poll ends at once and swallows no message sent after it", async () => {
      const abort = new AbortController();
      const waiting = queue.receive({ max: 10, waitMs: foreverMs, visibilityMs: 600_000, signal: abort.signal });
      await new Promise((resolve) => setTimeout(resolve, 300));
      abort.abort();
      expect(await waiting).toEqual([]);
      await queue.send({ body: "kept" });
      expect(bodies(await receive(10, 8_000))).toEqual(["kept"]);
    });

    test("after three deliveries a message is with the dead letters, and stays there", async () => {
      await queue.send({ body: "poison" });
      for (let delivery = 1; delivery <= 3; delivery++) {
        expect(await receiveOne()).toMatchObject({ receiveCount: delivery });
        await opened.elapse(visibilityMs + 100);
      }
      expect(await receive()).toEqual([]);
      const dead = queue.deadLetter as JobQueue;
      for (let delivery = 1; delivery <= 3; delivery++) {
        const [message] = await dead.receive({ max: 1, waitMs: 0, visibilityMs: 10_000 });
        expect(message?.body).toBe("poison");
        await dead.extend(message?.receipt ?? "", 0);
      }
      const [message] = await dead.receive({ max: 1, waitMs: 0, visibilityMs: 10_000 });
      expect(await dead.delete(message?.receipt ?? "")).toBe(true);
      expect(dead.deadLetter).toBeNull();
    }, 20_000);

    test("concurrent receivers share the messages without overlap", async () => {
      const sent = Array.from({ length: 30 }, (_, i) => `m${String(i).padStart(2, "0")}`);
      await queue.sendBatch(sent.map((body) => ({ body })));
      const shares = await Promise.all([1, 2, 3].map(() => drain(queue)));
      expect(bodies(shares.flat())).toEqual(sent);
    });
  });
}
