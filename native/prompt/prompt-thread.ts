// The thread that tokenises. Started by prompt-thread-client.ts.
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { Prompts } from "./prompt.ts";
import { openTokeniser } from "./tokenise.ts";

export type ThreadData = { modelDir: string };
export type Call = { id: number; method: keyof Prompts; argument: unknown };
/** An error keeps its code and its message. */
export type Reply = { id: number; result: unknown } | { id: number; failure: { code?: string; message: string } };

async function answer(port: MessagePort, prompts: Promise<Prompts>, { id, method, argument }: Call): Promise<void> {
  try {
    const target = (await prompts)[method];
    // Calls come from our own client, which has the types.
    const result = typeof target === "function" ? await (target as (given: unknown) => unknown)(argument) : target;
    const moved = result instanceof Uint32Array ? [result.buffer as ArrayBuffer] : [];
    port.postMessage({ id, result } satisfies Reply, moved);
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    port.postMessage({ id, failure: { ...(code !== undefined && { code }), message } } satisfies Reply);
  }
}

if (parentPort === null) throw new Error("prompt-thread.ts is started by prompt-thread-client.ts");
const port = parentPort;
const prompts = openTokeniser((workerData as ThreadData).modelDir);
// The first call tells of a failure.
prompts.catch(() => {});
port.on("message", (call: Call) => void answer(port, prompts, call));
