import { z } from "zod";
import type { Delay } from "../delay.ts";

type Deps = {
  /** Of the instance metadata service, e.g. http://169.254.169.254. */
  url: string;
  fetch: typeof globalThis.fetch;
  now: () => number;
  delay: Delay;
  signal: AbortSignal;
  log: { warn(fields: object, message: string): void };
};

const POLL_MS = 5_000;
const ANSWER_MS = 2_000;
const TOKEN_SECONDS = 21_600;

/**
 * Resolves when EC2 announces that it takes this Spot instance back: with the milliseconds left, or null if it does not
 * say. Never resolves otherwise. A metadata service out of reach is asked again: it is no reason to stop.
 */
export async function spotNotice({ url, fetch, now, delay, signal, log }: Deps): Promise<number | null> {
  let token: string | undefined;
  let isWarned = false;

  const ask = (path: string, init: RequestInit) =>
    fetch(new URL(path, url), { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]) });

  async function look(): Promise<number | null | undefined> {
    if (token === undefined) {
      const headers = { "X-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_SECONDS) };
      const issued = await ask("/latest/api/token", { method: "PUT", headers });
      if (!issued.ok) throw new Error(`the metadata service answers ${issued.status} to the request for a token`);
      token = await issued.text();
    }
    const answer = await ask("/latest/meta-data/spot/instance-action", {
      headers: { "X-aws-ec2-metadata-token": token },
    });
    const body = await answer.text();
    if (answer.status === 401) token = undefined;
    if (!answer.ok) return undefined;
    return timeLeft(body, now());
  }

  while (!signal.aborted) {
    try {
      const leftMs = await look();
      if (leftMs !== undefined) return leftMs;
    } catch (error) {
      if (!isWarned && !signal.aborted) log.warn({ err: error, url }, "no answer about Spot notices");
      isWarned = true;
    }
    await delay(POLL_MS, signal);
  }
  return new Promise(() => {});
}

/** `{"action": "terminate", "time": "2026-11-24T22:10:00Z"}`. */
const Notice = z.object({ time: z.iso.datetime() });

function timeLeft(body: string, nowMs: number): number | null {
  try {
    return Math.max(0, Date.parse(Notice.parse(JSON.parse(body)).time) - nowMs);
  } catch {
    return null;
  }
}
