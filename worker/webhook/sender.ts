import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import type { Delay } from "../delay.ts";
import { createReceive } from "../queue/receive.ts";

type Deps = {
  queue: Pick<JobQueue, "receive">;
  /** Takes one message to its end. */
  deliver: (message: ReceivedMessage) => Promise<void>;
  limits: { longPollMs: number; webhookVisibilityMs: number; webhookConcurrency: number };
  delay: Delay;
  log: { error(fields: object, message: string): void };
};

const MAX_RECEIVE = 10;

/** Keeps up to `webhookConcurrency` deliveries going. One that breaks off comes back when its visibility ends. */
export function startWebhookSender({ queue, deliver, limits, delay, log }: Deps) {
  const stopping = new AbortController();
  const { longPollMs: waitMs, webhookVisibilityMs: visibilityMs } = limits;
  const receive = createReceive({ queue, waitMs, visibilityMs, signal: stopping.signal, delay, log });
  const running = new Set<Promise<void>>();

  function begin(message: ReceivedMessage): void {
    const delivery = deliver(message)
      .catch((error) => log.error({ err: error, message_id: message.id }, "webhook delivery broke off"))
      .finally(() => running.delete(delivery));
    running.add(delivery);
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const free = limits.webhookConcurrency - running.size;
      if (free <= 0) await Promise.race(running);
      else for (const message of await receive(Math.min(free, MAX_RECEIVE))) begin(message);
    }
  }

  const looping = loop();
  return {
    /** Resolves when what was begun has ended, which a request's deadline bounds. */
    async stop(): Promise<void> {
      stopping.abort();
      await looping;
      await Promise.all(running);
    },
  };
}
