import { AppError } from "../api/contract/errors.ts";
import type { ReceivedMessage } from "../api/state/job-queue.ts";
import { type AttemptDeps, type AttemptLog, runAttempt } from "./attempt.ts";
import type { Delivery } from "./consumer.ts";
import { attemptsExhausted } from "./failure.ts";
import { parseMessage } from "./message.ts";

export type DeliveryDeps = AttemptDeps & {
  /** Names this worker in leases. */
  owner: string;
  log: AttemptLog & { child(fields: object): AttemptLog };
};

/** Takes one message from its receipt to its end: deleted, given back, or left to whoever holds the job. */
export function createDelivery(message: ReceivedMessage, deps: DeliveryDeps): Delivery {
  const { jobs, queue, limits, now, log } = deps;
  const abort = new AbortController();
  // One seat is kept until the questions of the job are known.
  let seats = 1;
  let begun = false;

  async function deliver(): Promise<void> {
    const pointer = parseMessage(message.body);
    if (pointer === null) {
      log.error({ message_id: message.id }, "malformed message deleted");
      await queue.delete(message.receipt);
      return;
    }
    const claimed = await jobs.claim(pointer.tenant, pointer.job, deps.owner);
    const jobLog = log.child({ job: pointer.job });
    switch (claimed.kind) {
      case "missing":
      case "terminal":
        jobLog.info({ reason: claimed.kind }, "message deleted");
        await queue.delete(message.receipt);
        return;
      case "leased":
        // Should its holder die, this message is the one that brings the job back.
        await queue.extend(message.receipt, Math.max(0, (claimed.state.lease?.until_ms ?? 0) - now()));
        return;
      case "claimed": {
        const { attempt } = claimed.claim.state;
        if (Math.max(attempt, message.receiveCount) > limits.maxAttempts) {
          await jobs.settleFailed(claimed.claim, attemptsExhausted(limits.maxAttempts));
          jobLog.error({ attempt }, "attempts exhausted");
          await queue.delete(message.receipt);
          return;
        }
        const attemptLog = log.child({ job: pointer.job, attempt });
        attemptLog.info({ receive_count: message.receiveCount }, "job claimed");
        await runAttempt(claimed.claim, message, deps, control, attemptLog);
      }
    }
  }

  const control = {
    signal: abort.signal,
    onProgress: (): void => {
      begun = true;
    },
    onSequences: (count: number): void => {
      seats = count;
    },
  };

  return {
    seats: () => seats,
    hasBegun: () => begun,
    giveBack: () => abort.abort(new AppError("unavailable", "the worker is stopping")),
    // The message stays and becomes visible again: what broke off here is found as it was left.
    done: deliver().catch((error) => log.error({ err: error, message_id: message.id }, "delivery broke off")),
  };
}
