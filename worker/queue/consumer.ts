import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import type { Delay } from "../delay.ts";
import { createReceive } from "./receive.ts";

/** A message being worked on. */
export type Delivery = {
  /** Seats of the engine's batch that it takes or will take. */
  seats(): number;
  /** Nothing of it has reached the engine's batch yet, so giving it back loses no work. */
  hasBegun(): boolean;
  /** Stops it and gives it back to the queue. */
  giveBack(): void;
  /** Settled or given back; never rejects. */
  done: Promise<void>;
};

type Collaborators = {
  queue: Pick<JobQueue, "receive">;
  deliver(message: ReceivedMessage): Delivery;
  /** Sequences that could join the engine's batch beside `taken` seats; 0 while anything waits for memory. */
  room(taken: number): number;
  limits: { longPollMs: number; visibilityMs: number };
  delay: Delay;
  log: { error(fields: object, message: string): void };
};

/** Between looks at a full batch: far below the time of a prefill, far above the cost of a look. */
const FULL_POLL_MS = 50;
const MAX_RECEIVE = 10;

/** Receives as long as the engine has room, and refills as sequences end. */
export function createConsumer({ queue, deliver, room, limits, delay, log }: Collaborators) {
  const stopping = new AbortController();
  const deliveries = new Set<Delivery>();
  const { longPollMs: waitMs, visibilityMs } = limits;
  const receive = createReceive({ queue, waitMs, visibilityMs, signal: stopping.signal, delay, log });
  let run: Promise<void> | undefined;

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const taken = [...deliveries].reduce((sum, delivery) => sum + delivery.seats(), 0);
      const free = room(taken);
      if (free <= 0) {
        await delay(FULL_POLL_MS, stopping.signal);
        continue;
      }
      for (const message of await receive(Math.min(free, MAX_RECEIVE))) track(deliver(message));
    }
  }

  function track(delivery: Delivery): void {
    deliveries.add(delivery);
    void delivery.done.then(() => deliveries.delete(delivery));
    if (stopping.signal.aborted) delivery.giveBack();
  }

  return {
    start(): void {
      run ??= loop();
    },

    /** Resolves when everything is settled or given back. What runs may go on for `graceMs`. */
    async stop(graceMs: number): Promise<void> {
      stopping.abort();
      for (const delivery of deliveries) if (!delivery.hasBegun()) delivery.giveBack();
      await run;
      const settled = Promise.all([...deliveries].map(({ done }) => done));
      const graceEnded = new AbortController();
      await Promise.race([settled, delay(graceMs, graceEnded.signal)]);
      graceEnded.abort();
      for (const delivery of deliveries) delivery.giveBack();
      await settled;
    },
  };
}

export type Consumer = ReturnType<typeof createConsumer>;
