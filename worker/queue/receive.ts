import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import type { Delay } from "../delay.ts";

type Options = {
  queue: Pick<JobQueue, "receive">;
  waitMs: number;
  visibilityMs: number;
  /** Ends the waiting, for good. */
  signal: AbortSignal;
  delay: Delay;
  log: { error(fields: object, message: string): void };
};

/** A queue that is closed answers at once, with nothing: that must not turn into a hot loop. */
const EMPTY_MS = 50;
/** Nor must one that is out of reach. */
const RETRY_MS = 1_000;

/** Receives messages of a queue, as often as it is called and never in a hurry; nothing where none came or it failed. */
export function createReceive({ queue, waitMs, visibilityMs, signal, delay, log }: Options) {
  return async (max: number): Promise<ReceivedMessage[]> => {
    try {
      const messages = await queue.receive({ max, waitMs, visibilityMs, signal });
      if (messages.length === 0) await delay(EMPTY_MS, signal);
      return messages;
    } catch (error) {
      log.error({ err: error }, "receive failed");
      await delay(RETRY_MS, signal);
      return [];
    }
  };
}
