import { setTimeout as delay } from "node:timers/promises";
import { isTerminal, type JobState } from "../../contract/job.ts";

/** Looks come more seldom as time goes: an answer that took a minute may be late by a second. */
const FIRST_LOOK_MS = 50;
const LAST_LOOK_MS = 1_000;

/** The latest state: a terminal one, or that after `waitMs`. Ends early for a client that is gone. */
export async function waitForEnd(read: () => Promise<JobState>, waitMs: number, gone: AbortSignal): Promise<JobState> {
  const deadline = performance.now() + waitMs;
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(LAST_LOOK_MS, pauseMs * 1.5)) {
    const state = await read();
    const remaining = deadline - performance.now();
    if (isTerminal(state.status) || remaining <= 0 || gone.aborted) return state;
    await delay(Math.min(pauseMs, remaining), undefined, { signal: gone }).catch(() => undefined);
  }
}
