import { AppError } from "../../api/contract/errors.ts";
import type { EngineInfo, JobMessage } from "../../api/contract/job.ts";
import type { ReceivedMessage } from "../../api/state/job-queue.ts";
import { type AttemptDeps, type AttemptLog, runAttempt } from "../job/attempt.ts";
import type { Delivery } from "./job-consumer.ts";

export type DeliveryDeps = AttemptDeps & {
  /** Names this worker in leases. */
  owner: string;
  engineInfo: EngineInfo;
  now: () => number;
  log: AttemptLog & { child(fields: object): AttemptLog };
};

/** Takes a job whose turn has come to its end: settled, given back, or left to whoever holds it. */
export function createDelivery(pointer: JobMessage, message: ReceivedMessage, deps: DeliveryDeps): Delivery {
  const { jobs, queue, leases, now, log } = deps;
  const { receipt } = message;
  const abort = new AbortController();
  // One seat is kept until the questions of the job are known.
  let seats = 1;
  let begun = false;

  async function deliver(): Promise<void> {
    const claimed = await jobs.claim(pointer.tenant, pointer.job, deps.owner, deps.engineInfo);
    const jobLog = log.child({ job: pointer.job });
    switch (claimed.kind) {
      case "missing":
      case "terminal":
        jobLog.info({ reason: claimed.kind }, "message deleted");
        await leases.drop(receipt);
        await queue.delete(receipt);
        return;
      case "leased":
        // Should its holder die, this message is the one that brings the job back.
        await leases.drop(receipt);
        await queue.extend(receipt, Math.max(0, (claimed.state.lease?.until_ms ?? 0) - now()));
        return;
      case "claimed": {
        const attemptLog = log.child({ job: pointer.job, attempt: claimed.claim.state.attempt });
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
    done: deliver()
      .catch((error) => log.error({ err: error, message_id: message.id }, "delivery broke off"))
      .then(() => leases.drop(receipt)),
  };
}
