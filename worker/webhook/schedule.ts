const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Between one attempt and the next, as Standard Webhooks proposes: 75 h 35 min 5 s from the first to the last. */
export const RETRY_DELAYS_MS = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
] as const;

/** Receivers that failed together must not be called together again. */
const JITTER = 0.1;
const MAX_RETRY_AFTER_MS = 24 * HOUR;

/** Until a tenant is looked at again whose deliveries are all slow: the first time, and the longest. */
const BUSY_MS = 5 * SECOND;
const LONGEST_BUSY_MS = 5 * MINUTE;

/** How long a message waits that was received so often, its tenant being busy; a backlog does not come back at once. */
export function busyDelayMs(receiveCount: number, random: () => number): number {
  const ceiling = Math.min(LONGEST_BUSY_MS, BUSY_MS * 2 ** (receiveCount - 1));
  return Math.round((ceiling * (1 + random())) / 2);
}

type Failed = {
  /** Attempts of this run through the schedule, the failed one included. */
  attempts: number;
  /** What the receiver asked for. */
  retryAfterMs: number | null;
};

/** How long to wait for the next attempt; null if there is none. `random` gives [0, 1). */
export function retryDelayMs({ attempts, retryAfterMs }: Failed, random: () => number): number | null {
  const planned = RETRY_DELAYS_MS[attempts - 1];
  if (planned === undefined) return null;
  const jittered = planned * (1 - JITTER + 2 * JITTER * random());
  return Math.round(Math.max(jittered, Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS)));
}
