import { startChild } from "./child.ts";

export type Service = {
  url: string;
  model: string;
  /** "keys" if an API key is asked for, or "open". */
  access: string;
  /** Of the worker: "shadowkv" or "full", and "cpu" or "cuda". */
  cache: string;
  device: string;
  /** Resolves, worded for the reader, when a process has ended unasked and the other one was stopped too. */
  broken: Promise<string>;
  /** Resolves when both processes have ended. Calling it again ends them at once. */
  stop(): Promise<void>;
};

type Options = {
  env: NodeJS.ProcessEnv;
  /** Each line that a process writes. */
  onLine: (name: string, line: string) => void;
  /** Ends a start that is under way. */
  signal: AbortSignal;
};

/** Starts api and worker, each a process. Rejects with one line for the reader if either cannot run. */
export async function startService({ env, onLine, signal }: Options): Promise<Service> {
  const start = (name: string, file: string) => startChild({ name, file: new URL(file, import.meta.url), env, onLine });
  const api = start("api", "../../api/main.ts");
  const worker = start("worker", "../../worker/main.ts");
  let stopping = false;

  async function stop(): Promise<void> {
    for (const child of [api, worker]) child.kill(stopping ? "SIGKILL" : "SIGTERM");
    stopping = true;
    await Promise.all([api.ended, worker.ended]);
  }

  async function stopAtFirstEnd(): Promise<string> {
    const how = await Promise.race([api.ended, worker.ended]);
    if (!stopping) await stop();
    return how;
  }

  const onAbort = () => void stop();
  signal.addEventListener("abort", onAbort);
  const broken = stopAtFirstEnd();
  try {
    const [aboutApi, aboutWorker] = await Promise.all([api.ready, worker.ready]);
    return {
      url: aboutApi.url ?? "",
      model: aboutApi.model ?? "",
      access: aboutApi.access ?? "",
      cache: aboutWorker.cache ?? "",
      device: aboutWorker.device ?? "",
      broken,
      stop,
    };
  } catch (error) {
    await broken;
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
