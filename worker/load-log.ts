import type { LoadProgress } from "../native/index.ts";

type Deps = {
  log: { info(fields: object, message: string): void };
  now: () => number;
  everyMs: number;
};

/** Says how far a model is loaded: now and then, and when it is done with how fast that was. */
export function createLoadLog({ log, now, everyMs }: Deps): (progress: LoadProgress) => void {
  const startedMs = now();
  let saidMs = startedMs;
  return ({ loadedBytes, totalBytes }) => {
    const nowMs = now();
    const isDone = loadedBytes >= totalBytes;
    if (!isDone && nowMs - saidMs < everyMs) return;
    saidMs = nowMs;
    const fields = { loaded_bytes: loadedBytes, total_bytes: totalBytes, ms: nowMs - startedMs };
    if (isDone) log.info(fields, "model loaded");
    else log.info({ ...fields, percent: Math.floor((100 * loadedBytes) / totalBytes) }, "model loads");
  };
}
