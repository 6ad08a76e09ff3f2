import { isTerminal } from "../api/contract/job.ts";
import type { JobQueue, ReceivedMessage } from "../api/state/job-queue.ts";
import type { JobStore } from "../api/state/job-store.ts";
import type { Delivery } from "./consumer.ts";
import { attemptsExhausted } from "./failure.ts";
import { parseMessage } from "./message.ts";

type Deps = {
  jobs: Pick<JobStore, "failAbandoned">;
  queue: Pick<JobQueue, "extend" | "delete">;
  limits: { maxAttempts: number; visibilityMs: number };
  log: { error(fields: object, message: string): void };
};

/** Fails the job of a message that was received too often: it crashed its workers, and nobody else would end it. */
export function createDeadLetterDelivery(message: ReceivedMessage, { jobs, queue, limits, log }: Deps): Delivery {
  async function bury(): Promise<void> {
    const pointer = parseMessage(message.body);
    const failure = attemptsExhausted(limits.maxAttempts);
    const state = pointer && (await jobs.failAbandoned(pointer.tenant, pointer.job, failure));
    if (state && !isTerminal(state.status)) {
      // Its last worker may still make it: look again when that lease has ended.
      await queue.extend(message.receipt, limits.visibilityMs);
      return;
    }
    log.error({ job: pointer?.job, message_id: message.id }, "dead letter removed");
    await queue.delete(message.receipt);
  }

  return {
    seats: () => 1,
    hasBegun: () => true,
    giveBack: () => {},
    done: bury().catch((error) => log.error({ err: error, message_id: message.id }, "delivery broke off")),
  };
}
