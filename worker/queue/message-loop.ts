import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import type { Delay } from "../delay.ts";
import { createReceive } from "./receive.ts";

type Options = {
  queue: Pick<JobQueue, "receive">;
  /** Takes one message to its end. One that breaks off comes back when its visibility ends. */
  handle: (message: ReceivedMessage) => Promise<void>;
  /** Messages in work at a time. */
  concurrency: number;
  limits: { longPollMs: number; visibilityMs: number };
  delay: Delay;
  log: { error(fields: object, message: string): void };
};

/** Asked for at a time, so that the first need not wait for the last. */
const MAX_RECEIVE = 10;

/** Receives a queue's messages and handles several at a time, for those that need no place in the engine. */
export function startMessageLoop({ queue, handle, concurrency, limits, delay, log }: Options) {
  const stopping = new AbortController();
  const { longPollMs: waitMs, visibilityMs } = limits;
  const receive = createReceive({ queue, waitMs, visibilityMs, signal: stopping.signal, delay, log });
  const running = new Set<Promise<void>>();

  function begin(message: ReceivedMessage): void {
    const handled = handle(message)
      .catch((error) => log.error({ err: error, message_id: message.id }, "delivery broke off"))
      .finally(() => running.delete(handled));
    running.add(handled);
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const free = concurrency - running.size;
      if (free <= 0) await Promise.race(running);
      else for (const message of await receive(Math.min(free, MAX_RECEIVE))) begin(message);
    }
  }

  const looping = loop();
  return {
    /** Receives no more, and resolves when what was begun has ended. */
    async stop(): Promise<void> {
      stopping.abort();
      await looping;
      await Promise.all(running);
    },
  };
}
