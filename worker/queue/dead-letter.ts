import { type EngineInfo, isTerminal, JobMessage } from "../../api/contract/job.ts";
import type { JobQueue, ReceivedMessage } from "../../api/state/job-queue.ts";
import { attemptsAllowed } from "../../api/state/jobs/job-record.ts";
import type { JobStore } from "../../api/state/jobs/job-store.ts";
import { attemptsExhausted } from "../failure.ts";
import { parseMessage } from "./message.ts";

type Deps = {
  jobs: Pick<JobStore, "get" | "claim" | "release" | "failAbandoned">;
  queue: Pick<JobQueue, "extend" | "delete">;
  /** The queue whose dead letters these are. */
  source: Pick<JobQueue, "send">;
  owner: string;
  engineInfo: EngineInfo;
  limits: { maxAttempts: number; visibilityMs: number };
  log: Record<"info" | "error", (fields: object, message: string) => void>;
};

/**
 * Deals with a message that was received too often. One whose job has used its attempts up fails it: it crashed its
 * workers, and nobody else would end it. One that was only given back often is sent anew; that counts as an attempt, so
 * that a message which workers die of before they claim its job comes to an end too.
 */
export async function buryDeadLetter(message: ReceivedMessage, deps: Deps): Promise<void> {
  const { jobs, queue, source, owner, engineInfo, limits, log } = deps;
  const pointer = parseMessage(JobMessage, message.body);
  const state = pointer && (await jobs.get(pointer.tenant, pointer.job));
  if (pointer && state && !isTerminal(state.status)) {
    const { tenant, job } = pointer;
    if (state.attempt < attemptsAllowed(state, limits.maxAttempts)) {
      const claimed = await jobs.claim(tenant, job, owner, engineInfo);
      // Its worker may still make it: look again when that lease has ended.
      if (claimed.kind === "leased") return void (await queue.extend(message.receipt, limits.visibilityMs));
      if (claimed.kind === "claimed") {
        await source.send({ body: message.body, groupId: tenant });
        await jobs.release(claimed.claim);
        log.info({ job }, "dead letter sent anew");
      }
    } else {
      const failed = await jobs.failAbandoned(tenant, job, attemptsExhausted(state.attempt));
      if (failed && !isTerminal(failed.status)) {
        return void (await queue.extend(message.receipt, limits.visibilityMs));
      }
      log.error({ job }, "job of a dead letter failed");
    }
  }
  await queue.delete(message.receipt);
}
