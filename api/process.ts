import { setFlagsFromString } from "node:v8";
import pino, { type Logger } from "pino";
import { AppError } from "./contract/errors.ts";

/** What a process tells whoever started it with an IPC channel; under anything else nobody listens. */
export type ProcessMessage = { type: "ready"; about: Record<string, string> } | { type: "failed"; message: string };

export type Running = {
  /** For the starter: where and what is served. */
  about: Record<string, string>;
  stop(): Promise<void>;
};

export type Lifecycle = {
  /** Stops the process cleanly, to end with this error and status 1. */
  fail(error: Error): void;
  /** Stops it cleanly, as a SIGTERM does. */
  stop(): void;
};

/** One JSON line an event on stdout. Documents, questions and answers never go into it. */
export const createLog = (name: string, level: string): Logger => pino({ level, base: { name } });

/**
 * How much garbage V8 lets pile up, as a share of what is alive. Its own choice is several times what is alive: a busy
 * process would grow for hours, whatever it holds.
 */
const HEAP_GROWTH_PERCENT = 50;

/**
 * The life of an api or worker process: start, say so, stop cleanly at the first SIGTERM or SIGINT or when the
 * starter is gone, end at once at the second signal. A failed start is one line on stderr.
 */
export async function runProcess(start: (lifecycle: Lifecycle) => Promise<Running>): Promise<void> {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`);
  let running: Running | undefined;
  let stopping = false;
  let failure: Error | undefined;

  async function stop(): Promise<void> {
    if (stopping) process.exit(1);
    stopping = true;
    await running?.stop();
    if (failure) exitWith(failure);
    else process.exit(0);
  }
  const fail = (error: Error): void => {
    failure ??= error;
    if (!stopping) stop().catch(exitWith);
  };

  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void stop().catch(exitWith));
  process.once("disconnect", () => stopping || void stop().catch(exitWith));
  try {
    running = await start({ fail, stop: () => stopping || void stop().catch(exitWith) });
    process.send?.({ type: "ready", about: running.about } satisfies ProcessMessage);
  } catch (error) {
    exitWith(error);
  }
}

function exitWith(error: unknown): void {
  const message = describe(error);
  if (process.send === undefined) {
    console.error(message);
    process.exit(1);
  }
  process.send({ type: "failed", message } satisfies ProcessMessage, () => process.exit(1));
}

/** A code means that somebody expected the failure and worded it for the reader; anything else needs its stack. */
function describe(error: unknown): string {
  if (error instanceof AppError) return error.message;
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
