import { setTimeout as timeout } from "node:timers/promises";

/** Resolves after `ms`, or at once when the signal is aborted: whoever waits then looks at the signal. */
export async function delay(ms: number, signal?: AbortSignal): Promise<void> {
  await timeout(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
}

export type Delay = typeof delay;
