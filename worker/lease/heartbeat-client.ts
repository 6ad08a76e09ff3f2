import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { StateEnv } from "../../api/contract/env.ts";
import type { HeartbeatLimits } from "./heartbeat.ts";
import type { FromThread, ThreadData, ToThread } from "./heartbeat-thread.ts";
import type { Beats, Tell } from "./lease.ts";

type Options = {
  env: StateEnv;
  limits: HeartbeatLimits;
  /** The process is killed if its main thread does nothing for so long. */
  stallMs: number;
  /** The thread ended although nobody closed it: no lease is renewed any more. */
  onFailed: (error: Error) => void;
};

/** How often the main thread shows that it is alive. */
const ALIVE_MS = 1_000;

/** Heartbeats from a thread of their own. Rejects if it cannot reach the state. */
export async function startHeartbeatThread({ env, limits, stallMs, onFailed }: Options, tell: Tell) {
  const alive = new SharedArrayBuffer(4);
  const workerData: ThreadData = { env, limits, stallMs, alive };
  const thread = new Worker(new URL("./heartbeat-thread.ts", import.meta.url), { workerData });
  const dropping = new Map<string, () => void>();
  const say = (message: ToThread): void => thread.postMessage(message);
  let isClosing = false;

  thread.on("message", (message: FromThread) => {
    if (message.kind === "news") tell(message.receipt, message.news);
    if (message.kind === "dropped") {
      dropping.get(message.receipt)?.();
      dropping.delete(message.receipt);
    }
  });
  await once(thread, "message");
  const counter = new Int32Array(alive);
  const living = setInterval(() => Atomics.add(counter, 0, 1), ALIVE_MS);

  const fail = (error: Error): void => {
    clearInterval(living);
    // Whoever waits for a last beat need not wait longer.
    for (const resolve of dropping.values()) resolve();
    if (!isClosing) onFailed(error);
    isClosing = true;
  };
  thread.on("error", fail);
  const ended = once(thread, "exit").then(([code]) => fail(new Error(`the heartbeat thread ended with ${code}`)));

  const beats: Beats = {
    keep: (receipt, claim) => say({ kind: "keep", receipt, claim }),
    report: (receipt, progress) => say({ kind: "report", receipt, progress }),
    drop: (receipt) =>
      new Promise((resolve) => {
        if (isClosing) return resolve();
        dropping.set(receipt, resolve);
        say({ kind: "drop", receipt });
      }),
  };
  return {
    beats,
    async close(): Promise<void> {
      isClosing = true;
      say({ kind: "close" });
      await ended;
    },
  };
}
