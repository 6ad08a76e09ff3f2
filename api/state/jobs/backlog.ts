import { estimateGpuSeconds, type GpuSecondsOptions } from "../../contract/backlog.ts";
import { keys } from "../../contract/keys.ts";
import type { ObjectStore } from "../object-store.ts";
import { createJobIndex } from "./job-index.ts";

export type Backlog = {
  /** Jobs that are not over, waiting or running. */
  jobs: number;
  gpuSeconds: number;
  /** When the oldest of them was made; null if there is none. */
  oldestMs: number | null;
};

const PAGE = 1_000;

/** Adds up all unfinished work, from one listing of the active index: a request for every thousand jobs. */
export async function measureBacklog(objects: ObjectStore, options: GpuSecondsOptions): Promise<Backlog> {
  const index = createJobIndex({ objects });
  const backlog: Backlog = { jobs: 0, gpuSeconds: 0, oldestMs: null };
  let after: string | undefined;
  do {
    const { entries, next } = await index.listActive(keys.active, { after, limit: PAGE });
    for (const { promptTokens, completionTokens, createdMs } of entries) {
      backlog.jobs++;
      backlog.gpuSeconds += estimateGpuSeconds({ promptTokens, completionTokens }, options);
      backlog.oldestMs = Math.min(backlog.oldestMs ?? createdMs, createdMs);
    }
    after = next ?? undefined;
  } while (after !== undefined);
  return backlog;
}

/** Shares one measurement among all who ask within `forMs`. */
export function rememberBacklog(measure: () => Promise<Backlog>, forMs: number, now: () => number) {
  let latest: Promise<Backlog> | undefined;
  let latestMs = 0;
  return (): Promise<Backlog> => {
    // Before its own time it does not count: the clock was put back.
    if (latest !== undefined && now() >= latestMs && now() < latestMs + forMs) return latest;
    latestMs = now();
    const measuring = measure();
    latest = measuring;
    measuring.catch(() => {
      if (latest === measuring) latest = undefined;
    });
    return measuring;
  };
}
