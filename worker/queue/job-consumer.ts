import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import type { Delay } from "../delay.ts";
import { createFairShare } from "./fair-share.ts";
import { createReceive } from "./receive.ts";
import { type Candidate, chooseNext, documentKey, type Memory, needs, type Room } from "./schedule.ts";

/** A job on its way through the engine. */
export type Delivery = {
  /** Sequences of it that are not over. */
  seats(): number;
  /** Nothing of it has reached the engine's batch yet, so giving it back loses no work. */
  hasBegun(): boolean;
  /** Stops it and gives it back to the queue. */
  giveBack(): void;
  /** Settled or given back; never rejects. */
  done: Promise<void>;
};

/** A job at hand, whose message is kept hidden. */
export type Waiting = Candidate & {
  start(): Delivery;
  giveBack(): Promise<void>;
};

export type BatchState = {
  /** Sequences that wait inside the engine, for a seat or for memory. */
  waiting: number;
  capacity: Memory;
};

type Collaborators = {
  queue: Pick<JobQueue, "receive">;
  /** Looks at the job of a message; null if there is nothing to run, and the message was dealt with. Never rejects. */
  take(message: ReceivedMessage): Promise<Waiting | null>;
  batch(): BatchState;
  maxBatch: number;
  /** Jobs to have at hand beyond those that run, so that there is a choice. */
  lookAhead: number;
  limits: { longPollMs: number; visibilityMs: number };
  now: () => number;
  delay: Delay;
  log: { error(fields: object, message: string): void };
};

/** Between looks at a batch that may have room again: far below the time of a prefill, far above the cost of a look. */
const LOOK_MS = 50;

/** Receives until the engine's plan is full, keeps a few jobs at hand to choose from, and refills as sequences end. */
export function createJobConsumer(collaborators: Collaborators) {
  const { queue, take, batch, maxBatch, lookAhead, limits, now, delay, log } = collaborators;
  const stopping = new AbortController();
  const { longPollMs: waitMs, visibilityMs } = limits;
  const receive = createReceive({ queue, waitMs, visibilityMs, signal: stopping.signal, delay, log });
  const share = createFairShare();
  const waiting = new Set<Waiting>();
  const running = new Map<Delivery, Waiting>();
  let taking = 0;
  let loops: Promise<unknown> | undefined;
  let wake: () => void = () => {};

  async function receiveLoop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const wanted = missing();
      if (wanted <= 0) {
        await delay(LOOK_MS, stopping.signal);
        continue;
      }
      const messages = await receive(wanted);
      taking += messages.length;
      for (const message of messages) void admit(message);
    }
  }

  /** Jobs to ask for: what the free seats may take, and the look-ahead. */
  function missing(): number {
    const freeSeats = batch().waiting > 0 ? 0 : maxBatch - seatsTaken();
    return Math.max(0, freeSeats) + lookAhead - waiting.size - taking;
  }

  const seatsTaken = () => [...running.keys()].reduce((sum, delivery) => sum + delivery.seats(), 0);

  async function admit(message: ReceivedMessage): Promise<void> {
    const job = await take(message);
    if (job !== null) {
      if (stopping.signal.aborted) await job.giveBack();
      else waiting.add(job);
    }
    taking -= 1;
    wake();
  }

  async function startLoop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const next = waiting.size > 0 ? chooseNext([...waiting], room(), share, now()) : null;
      if (next !== null) start(next);
      else await nextLook();
    }
  }

  /** Until a job came or ended; while some wait for memory also now and then, as the engine does not tell. */
  async function nextLook(): Promise<void> {
    const looked = new AbortController();
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
      stopping.signal.addEventListener("abort", () => resolve(), { signal: looked.signal });
    });
    await (waiting.size > 0 ? Promise.race([woken, delay(LOOK_MS, looked.signal)]) : woken);
    looked.abort();
  }

  function room(): Room {
    const { waiting: waitingInside, capacity } = batch();
    const jobs = [...running.values()];
    const room: Room = {
      seats: maxBatch,
      freeSeats: waitingInside > 0 ? 0 : maxBatch - seatsTaken(),
      memory: capacity,
      freeMemory: capacity,
      isIdle: jobs.length === 0,
      isReserved: jobs.some(({ isSuspect }) => isSuspect),
      documents: new Set(jobs.map(documentKey).filter((key) => key !== null)),
    };
    const taken = jobs.map((job) => needs(job, room));
    const sum = (field: keyof Memory) => taken.reduce((total, need) => total + need[field], 0);
    const deviceBytes = capacity.deviceBytes - sum("deviceBytes");
    return { ...room, freeMemory: { deviceBytes, hostBytes: capacity.hostBytes - sum("hostBytes") } };
  }

  function start(job: Waiting): void {
    waiting.delete(job);
    const delivery = job.start();
    running.set(delivery, job);
    void delivery.done.then(() => {
      running.delete(delivery);
      wake();
    });
  }

  return {
    start(): void {
      loops ??= Promise.all([receiveLoop(), startLoop()]);
    },

    /** Resolves when everything is settled or given back. What runs may go on for `graceMs`. */
    async stop(graceMs: number): Promise<void> {
      stopping.abort();
      const unstarted = [...waiting].map((job) => job.giveBack());
      waiting.clear();
      for (const delivery of running.keys()) if (!delivery.hasBegun()) delivery.giveBack();
      await loops;
      const settled = Promise.all([...running.keys()].map(({ done }) => done));
      const graceEnded = new AbortController();
      await Promise.race([settled, delay(graceMs, graceEnded.signal)]);
      graceEnded.abort();
      for (const delivery of running.keys()) delivery.giveBack();
      await Promise.all([settled, ...unstarted]);
      while (taking > 0) await delay(LOOK_MS);
    },
  };
}
