// A process whose main thread stalls while it holds heartbeats: node stalled-worker.ts <state directory> <stall ms>
import { StateEnv } from "../../api/contract/env.ts";
import { limits } from "../../api/contract/limits.ts";
import { startHeartbeatThread } from "../../worker/lease/heartbeat-client.ts";

const [directory = "", stallMs = ""] = process.argv.slice(2);
const env = StateEnv.parse({ GNOMON_STATE_DIR: directory });
await startHeartbeatThread({ env, limits, stallMs: Number(stallMs), onFailed() {} }, () => {});
process.stdout.write("stalls\n");
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
