import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import type { ReceivedMessage } from "../../../api/state/job-queue.ts";
import { delay } from "../../../worker/delay.ts";
import { startMessageLoop } from "../../../worker/queue/message-loop.ts";

/** A queue of so many messages, and a loop over them whose handling ends when the test says so. */
function startOver(count: number, concurrency: number) {
  const messages = Array.from({ length: count }, (_, index) => ({ id: String(index) }) as ReceivedMessage);
  const open = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  const logged: object[] = [];
  const loop = startMessageLoop({
    queue: {
      async receive({ max }) {
        // A queue of a real adapter is never answered in the same turn.
        await turn();
        return messages.splice(0, max);
      },
    },
    async handle({ id }) {
      const handled = new Promise<void>((resolve, reject) => open.set(id, { resolve, reject }));
      await handled.finally(() => open.delete(id));
    },
    concurrency,
    limits: { longPollMs: 0, visibilityMs: 1_000 },
    delay,
    log: { error: (fields) => logged.push(fields) },
  });
  const until = async (ids: string[]) => {
    while (ids.join() !== [...open.keys()].join()) await turn();
  };
  return { loop, open, logged, until };
}

it("handles no more at a time than it may, and takes the next as one ends", async () => {
  const { loop, open, until } = startOver(4, 2);
  await until(["0", "1"]);
  open.get("0")?.resolve();
  await until(["1", "2"]);
  open.get("1")?.resolve();
  open.get("2")?.resolve();
  await until(["3"]);
  open.get("3")?.resolve();
  await loop.stop();
});

it("goes on with the others where one breaks off", async () => {
  const { loop, open, logged, until } = startOver(2, 1);
  await until(["0"]);
  open.get("0")?.reject(new Error("broken"));
  await until(["1"]);
  expect(logged).toEqual([{ err: new Error("broken"), message_id: "0" }]);
  open.get("1")?.resolve();
  await loop.stop();
});

it("stops when what was begun has ended, and begins nothing more", async () => {
  const { loop, open, until } = startOver(2, 1);
  await until(["0"]);
  let stopped = false;
  const stopping = loop.stop().then(() => {
    stopped = true;
  });
  await turn();
  expect(stopped).toBe(false);
  open.get("0")?.resolve();
  await stopping;
  expect([...open.keys()]).toEqual([]);
});
