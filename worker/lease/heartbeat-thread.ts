// The thread that keeps leases while the main thread is busy, with clients of its own. Started by heartbeat-client.ts.
import { randomUUID } from "node:crypto";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { StateEnv } from "../../api/contract/env.ts";
import type { JobProgress } from "../../api/contract/job.ts";
import type { Claim } from "../../api/state/jobs/job-claims.ts";
import { createJobStore } from "../../api/state/jobs/job-store.ts";
import { openAdapters } from "../../api/state/open-state.ts";
import { delay } from "../delay.ts";
import { createHeartbeat, type HeartbeatLimits, type HeartbeatNews } from "./heartbeat.ts";

export type ThreadData = { env: StateEnv; limits: HeartbeatLimits; stallMs: number; alive: SharedArrayBuffer };

export type ToThread =
  | { kind: "keep"; receipt: string; claim: Claim | null }
  | { kind: "report"; receipt: string; progress: JobProgress }
  | { kind: "drop"; receipt: string }
  | { kind: "close" };

export type FromThread =
  | { kind: "ready" }
  | { kind: "dropped"; receipt: string }
  | { kind: "news"; receipt: string; news: HeartbeatNews };

async function run(port: MessagePort, { env, limits, stallMs, alive }: ThreadData): Promise<void> {
  const now = Date.now;
  const state = await openAdapters(env, { now, newId: randomUUID });
  const jobs = createJobStore({ ...state, now, newId: randomUUID, leaseMs: limits.leaseMs });
  const say = (message: FromThread): void => port.postMessage(message);
  const monotonicMs = () => performance.now();
  const heartbeat = createHeartbeat({ jobs, queue: state.queue, limits, monotonicMs, delay }, (receipt, news) => {
    // An error of the store's client can hold what cannot be passed on; its stack says what there is to say.
    const error = news.kind === "warning" && news.error instanceof Error ? { error: news.error.stack } : {};
    say({ kind: "news", receipt, news: { ...news, ...error } });
  });
  const watching = watchMainThread(new Int32Array(alive), stallMs);

  port.on("message", (message: ToThread) => {
    switch (message.kind) {
      case "keep":
        return heartbeat.keep(message.receipt, message.claim);
      case "report":
        return heartbeat.report(message.receipt, message.progress);
      case "drop":
        return void heartbeat.drop(message.receipt).then(() => say({ kind: "dropped", receipt: message.receipt }));
      case "close":
        clearInterval(watching);
        // Ends the thread, whatever it still keeps.
        return void state.close().finally(() => process.exit(0));
    }
  });
  say({ kind: "ready" });
}

/**
 * A main thread that never comes back would keep its jobs for ever, as their leases are renewed here: end the process
 * then, and its jobs go to others.
 */
function watchMainThread(counter: Int32Array, stallMs: number): NodeJS.Timeout {
  let seen = Atomics.load(counter, 0);
  let seenMs = performance.now();
  return setInterval(() => {
    const count = Atomics.load(counter, 0);
    if (count !== seen) [seen, seenMs] = [count, performance.now()];
    else if (performance.now() - seenMs > stallMs) process.kill(process.pid, "SIGKILL");
  }, stallMs / 10);
}

if (parentPort !== null) await run(parentPort, workerData as ThreadData);
