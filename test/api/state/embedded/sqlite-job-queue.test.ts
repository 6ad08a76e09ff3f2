import { expect, test } from "vitest";
import { openEmbedded } from "../../../support/embedded-state.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { describeJobQueue } from "../contract/job-queue.ts";

describeJobQueue("embedded queue", {
  staleReceiptsAccepted: null,
  async open() {
    const directory = await temporaryDirectory();
    let nowMs = 1_800_000_000_000;
    const state = await openEmbedded(directory.path, () => nowMs);
    return {
      queue: state.queue,
      async elapse(ms) {
        nowMs += ms;
      },
      async close() {
        await state.close();
        await directory[Symbol.asyncDispose]();
      },
    };
  },
});

test("a long poll sees what another process sends", async () => {
  await using directory = await temporaryDirectory();
  const receiver = await openEmbedded(directory.path);
  const sender = await openEmbedded(directory.path);
  const waiting = receiver.queue.receive({ max: 1, waitMs: 5_000, visibilityMs: 60_000 });
  await sender.queue.send({ body: "from afar" });
  expect((await waiting).map(({ body }) => body)).toEqual(["from afar"]);
  await receiver.close();
  await sender.close();
});

test("messages and their counts are there after reopening", async () => {
  await using directory = await temporaryDirectory();
  let nowMs = 0;
  const before = await openEmbedded(directory.path, () => nowMs);
  await before.queue.send({ body: "m" });
  await before.queue.receive({ max: 1, waitMs: 0, visibilityMs: 1_000 });
  await before.close();
  nowMs = 2_000;
  const after = await openEmbedded(directory.path, () => nowMs);
  const [message] = await after.queue.receive({ max: 1, waitMs: 0, visibilityMs: 1_000 });
  expect(message).toMatchObject({ body: "m", receiveCount: 2 });
  await after.close();
});

test("closing ends a long poll", async () => {
  await using directory = await temporaryDirectory();
  const { queue, close } = await openEmbedded(directory.path);
  const waiting = queue.receive({ max: 1, waitMs: 10_000, visibilityMs: 1_000 });
  await close();
  expect(await waiting).toEqual([]);
});

test("messages that became exhausted together do not hide the ones behind them", async () => {
  await using directory = await temporaryDirectory();
  let nowMs = 0;
  const { queue, close } = await openEmbedded(directory.path, () => nowMs);
  await queue.sendBatch([{ body: "bad 1" }, { body: "bad 2" }]);
  for (let delivery = 0; delivery < 3; delivery++) {
    expect(await queue.receive({ max: 10, waitMs: 0, visibilityMs: 100 })).toHaveLength(2);
    nowMs += 200;
  }
  await queue.send({ body: "good" });
  const received = await queue.receive({ max: 2, waitMs: 0, visibilityMs: 100 });
  expect(received.map(({ body }) => body)).toEqual(["good"]);
  await close();
});

test("groups take turns, each in its own order, however many messages one of them has", async () => {
  await using directory = await temporaryDirectory();
  let nowMs = 0;
  const { queue, close } = await openEmbedded(directory.path, () => nowMs);
  for (let number = 0; number < 50; number++) await queue.send({ body: `noisy ${number}`, groupId: "noisy" });
  nowMs += 1;
  await queue.sendBatch(["a 0", "z 0", "a 1"].map((body) => ({ body, groupId: body[0] ?? "" })));
  const take = async (max: number) =>
    (await queue.receive({ max, waitMs: 0, visibilityMs: 100 })).map(({ body }) => body);
  expect(await take(4)).toEqual(["a 0", "noisy 0", "z 0", "a 1"]);
  expect(await take(3)).toEqual(["noisy 1", "noisy 2", "noisy 3"]);
  await close();
});
