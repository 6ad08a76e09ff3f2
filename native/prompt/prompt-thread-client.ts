import { Worker } from "node:worker_threads";
import { EngineError, type EngineErrorCode } from "../engine-error.ts";
import type { Prompts } from "./prompt.ts";
import type { Call, Reply, ThreadData } from "./prompt-thread.ts";

type Method = keyof Prompts;
type Argument<M extends Method> = Prompts[M] extends (argument: infer A) => unknown ? [argument: A] : [];
type Result<M extends Method> = Prompts[M] extends (argument: never) => Promise<infer R> ? R : Prompts[M];

type Pending = { resolve(result: unknown): void; reject(error: Error): void };

/**
 * Calls the methods of a model's Prompts on a thread of their own. It starts with the first call, and again after a
 * text was too much for it; that one's calls reject. It keeps the process alive only while it is at work.
 */
export function createPromptThread(modelDir: string) {
  let running: { thread: Worker; pending: Map<number, Pending> } | undefined;
  let calls = 0;

  function start() {
    const workerData: ThreadData = { modelDir };
    // No execArgv: among what a process was started with may be its own script (--eval).
    const thread = new Worker(new URL("./prompt-thread.ts", import.meta.url), { workerData, execArgv: [] });
    const pending = new Map<number, Pending>();
    const settle = (id: number, end: (call: Pending) => void) => {
      const call = pending.get(id);
      pending.delete(id);
      if (pending.size === 0) thread.unref();
      if (call) end(call);
    };
    let cause: unknown;
    thread.on("message", (reply: Reply) =>
      settle(reply.id, ({ resolve, reject }) => {
        if ("result" in reply) resolve(reply.result);
        else reject(toError(reply.failure));
      }),
    );
    thread.on("error", (error) => {
      cause = error;
    });
    thread.on("exit", (code) => {
      if (running?.thread === thread) running = undefined;
      const error = new EngineError("internal", `the thread that tokenises ended with ${code}`, { cause });
      for (const id of [...pending.keys()]) settle(id, ({ reject }) => reject(error));
    });
    return { thread, pending };
  }

  return {
    call<M extends Method>(method: M, ...[argument]: Argument<M>): Promise<Result<M>> {
      running ??= start();
      const { thread, pending } = running;
      const id = ++calls;
      return new Promise<unknown>((resolve, reject) => {
        pending.set(id, { resolve, reject });
        thread.ref();
        thread.postMessage({ id, method, argument } satisfies Call);
      }) as Promise<Result<M>>;
    },
  };
}

function toError({ code, message }: { code?: string; message: string }): Error {
  return code === undefined ? new Error(message) : new EngineError(code as EngineErrorCode, message);
}
