import { isTerminal, type JobState } from "../../contract/job.ts";
import type { JobRequest } from "../../contract/job-request.ts";
import { keys } from "../../contract/keys.ts";
import { limits } from "../../contract/limits.ts";
import { brokenOffMs } from "./idempotency.ts";
import type { ActiveEntry, JobIndex } from "./job-index.ts";
import { hasLiveLease } from "./job-record.ts";
import type { JobStates, StateLog } from "./job-states.ts";
import type { createSubmit } from "./job-submit.ts";

type Deps = {
  index: JobIndex;
  states: JobStates;
  submitting: ReturnType<typeof createSubmit>;
  getRequest: (tenant: string, id: string) => Promise<JobRequest | null>;
  endUnclaimed: (state: JobState) => JobState | null;
  now: () => number;
  log: StateLog;
};

/** What a sweep found to do; `next` continues it, null when it came to the end. */
export type Swept = { sent: number; discarded: number; ended: number; next: string | null };

/** Does for a page of the active jobs what a crash, a lost message or the clock left to do. Any process may, at any time. */
export function createJobSweep({ index, states, submitting, getRequest, endUnclaimed, now, log }: Deps) {
  async function resend(entry: ActiveEntry, state: JobState): Promise<boolean> {
    const request = await getRequest(entry.tenant, entry.job);
    if (request === null) return false;
    await submitting.send(state, request);
    await index.markSent(entry.key, entry.etag, now());
    return true;
  }

  /** A submit that never came to its state made no job. */
  async function discard(entry: ActiveEntry): Promise<void> {
    const { tenant, job: id, createdMs, priority, promptTokens, completionTokens } = entry;
    const request = await getRequest(tenant, id);
    const reserved = { prompt_tokens: promptTokens, completion_tokens: completionTokens };
    const job = { tenant, id, created_ms: createdMs, priority, reserved };
    await submitting.discard(job, request?.idempotency_hash ?? null);
  }

  async function isOverdue(entry: ActiveEntry): Promise<boolean> {
    if (!entry.sent) return true;
    if (entry.createdMs + limits.resendMs > now()) return false;
    const sentMs = await index.sentMs(entry.key);
    return sentMs !== null && sentMs + limits.resendMs <= now();
  }

  async function sweepEntry(entry: ActiveEntry): Promise<"sent" | "discarded" | "ended" | null> {
    // A submit may still be at it.
    if (!entry.sent && now() - entry.createdMs <= brokenOffMs) return null;
    const stored = await states.read(entry.tenant, entry.job);
    if (stored === null) {
      await discard(entry);
      return "discarded";
    }
    const { value: state } = stored;
    if (isTerminal(state.status)) {
      await states.settleEnd(state);
      return "ended";
    }
    if (endUnclaimed(state) !== null) {
      await states.change(entry.tenant, entry.job, endUnclaimed, stored);
      return "ended";
    }
    if (hasLiveLease(state, now()) || !(await isOverdue(entry))) return null;
    return (await resend(entry, state)) ? "sent" : null;
  }

  return async (after?: string): Promise<Swept> => {
    const { entries, next } = await index.listActive(keys.active, { after, limit: limits.sweepPage });
    const swept: Swept = { sent: 0, discarded: 0, ended: 0, next };
    for (const entry of entries) {
      try {
        const done = await sweepEntry(entry);
        if (done !== null) swept[done]++;
      } catch (error) {
        // One that cannot be helped must not keep the sweep from those behind it.
        log.warn({ err: error, job: entry.job }, "job left to the next sweep");
      }
    }
    return swept;
  };
}
