import { setTimeout as delay } from "node:timers/promises";
import type { Backend } from "./backend.ts";
import type { Cluster } from "./cluster.ts";

export type Strikes = {
  /** kill -9, of processes that ran, started or stopped. */
  kills: number;
  kills_of_api: number;
  terminations: number;
  disks_filled: number;
};

type Options = {
  kills: number;
  /** Milliseconds between two kills, on average. */
  everyMs: number;
  isApiSpared: boolean;
  random: () => number;
  log: (line: string) => void;
};

/** Of the time between two kills; long enough for every process to meet the full disk. */
const FULL_SHARE = 0.15;
const FULL_MS = [1_000, 5_000] as const;

/** Kills at random points, now and then a SIGTERM, and a disk that is full for some seconds. */
export async function strike(cluster: Cluster, { disk }: Backend, options: Options): Promise<Strikes> {
  const { kills, everyMs, isApiSpared, random, log } = options;
  const strikes: Strikes = { kills: 0, kills_of_api: 0, terminations: 0, disks_filled: 0 };
  const first = isApiSpared ? 1 : 0;
  const anyone = () => first + Math.floor(random() * (cluster.members - first));
  let full: Promise<void> | null = null;

  async function fillDisk(): Promise<void> {
    if (disk === null) return;
    disk.fill();
    strikes.disks_filled++;
    log("the disk is full");
    await delay(FULL_MS[0] + (FULL_MS[1] - FULL_MS[0]) * random());
    disk.free();
    log("the disk is free");
  }

  while (strikes.kills < kills) {
    await delay(everyMs * (0.2 + 1.6 * random()));
    // The first early, so that short runs have one.
    if (full === null && (random() < FULL_SHARE || strikes.disks_filled === 0)) {
      full = fillDisk().finally(() => {
        full = null;
      });
    }
    const victim = anyone();
    if (cluster.kill(victim)) {
      strikes.kills++;
      if (victim === 0) strikes.kills_of_api++;
    }
    if (random() < 0.1) {
      await delay(everyMs * random());
      if (cluster.terminate(anyone())) strikes.terminations++;
    }
  }
  await full;
  return strikes;
}
