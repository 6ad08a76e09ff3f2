import { isTerminal, JobMessage, type JobState } from "../../api/contract/job.ts";
import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import { attemptsAllowed, hasLiveLease } from "../../api/state/jobs/job-record.ts";
import type { JobStore } from "../../api/state/jobs/job-store.ts";
import type { Engine } from "../../native/index.ts";
import { attemptsExhausted } from "../failure.ts";
import type { Leases } from "../lease/lease.ts";
import type { Delivery, Waiting } from "./job-consumer.ts";
import { parseMessage } from "./message.ts";
import type { Memory } from "./schedule.ts";

type Deps = {
  jobs: Pick<JobStore, "get" | "failAbandoned">;
  queue: Pick<JobQueue, "extend" | "delete">;
  engine: Pick<Engine, "plan">;
  leases: Pick<Leases, "hide" | "drop">;
  limits: { maxAttempts: number; shardSequences: number };
  now: () => number;
  log: Record<"info" | "error", (fields: object, message: string) => void>;
  deliver(pointer: JobMessage, message: ReceivedMessage): Delivery;
};

/** Looks at the job of a message before its turn: one that need not run is dealt with, one that must is kept at hand. */
export function createIntake({ jobs, queue, engine, leases, limits, now, log, deliver }: Deps) {
  async function look(message: ReceivedMessage): Promise<Waiting | null> {
    const { receipt } = message;
    const pointer = parseMessage(JobMessage, message.body);
    if (pointer === null) return remove(message, "malformed message deleted", "error");
    const state = await jobs.get(pointer.tenant, pointer.job);
    if (state === null || isTerminal(state.status)) return remove(message, "message of a job that is over deleted");
    if (hasLiveLease(state, now())) {
      // Should its holder die, this message is the one that brings the job back.
      await queue.extend(receipt, Math.max(0, (state.lease?.until_ms ?? 0) - now()));
      return null;
    }
    if (state.attempt >= attemptsAllowed(state, limits.maxAttempts)) {
      const left = await jobs.failAbandoned(pointer.tenant, pointer.job, attemptsExhausted(state.attempt));
      if (left && !isTerminal(left.status)) return null;
      return remove(message, "attempts exhausted", "error");
    }
    leases.hide(receipt);
    return {
      ...candidateOf(state, pointer),
      start: () => deliver(pointer, message),
      async giveBack() {
        await leases.drop(receipt);
        await queue.extend(receipt, 0).catch((error) => log.error({ err: error }, "message not given back"));
      },
    };
  }

  async function remove(message: ReceivedMessage, why: string, level: "info" | "error" = "info"): Promise<null> {
    log[level]({ message_id: message.id }, why);
    await queue.delete(message.receipt);
    return null;
  }

  function candidateOf(state: JobState, { document }: JobMessage) {
    const { tenant, priority, reserved } = state;
    // The validation of a batch has no sequence; a shard has not all of its at once.
    const isCheck = state.batch?.shard === null;
    const sequences = Math.max(1, state.progress.questions_total);
    const seats = state.batch === null ? sequences : Math.min(sequences, limits.shardSequences);
    return {
      tenant,
      document,
      priority,
      seats,
      deliverByMs: state.deliver_by_ms,
      createdMs: state.created_ms,
      receivedMs: now(),
      tokens: isCheck ? 1 : reserved.prompt_tokens + reserved.completion_tokens,
      memory: isCheck ? { deviceBytes: 0, hostBytes: 0 } : memoryOf(reserved, sequences, seats),
      // A lease that ended by itself: its worker died, and this job may be why.
      isSuspect: state.status === "running" || state.is_suspect,
    };
  }

  /** By the mean of its prompts: their sum is what the batch must hold. */
  function memoryOf(reserved: JobState["reserved"], sequences: number, seats: number): Memory {
    try {
      const { cache } = engine.plan({
        promptTokens: Math.max(1, Math.ceil(reserved.prompt_tokens / sequences)),
        maxNewTokens: Math.max(1, Math.ceil(reserved.completion_tokens / sequences)),
      });
      return { deviceBytes: cache.device * seats, hostBytes: cache.host * seats };
    } catch {
      // The engine refuses it: its run will say why.
      return { deviceBytes: 0, hostBytes: 0 };
    }
  }

  /** Never rejects: a message that broke off here becomes visible again by itself. */
  return (message: ReceivedMessage): Promise<Waiting | null> =>
    look(message).catch((error) => {
      log.error({ err: error, message_id: message.id }, "message not read");
      return null;
    });
}
