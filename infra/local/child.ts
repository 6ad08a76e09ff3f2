import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { ProcessMessage } from "../../api/process.ts";

export type ChildOptions = {
  name: string;
  /** The entry file, run by the Node that runs us. */
  file: URL;
  env: NodeJS.ProcessEnv;
  /** Each line that the process writes. */
  onLine: (name: string, line: string) => void;
};

export type Child = {
  name: string;
  /** 0 if it could not be started. */
  pid: number;
  /** What it said about itself when it was ready. Rejects, worded for the reader, if it ended before that. */
  ready: Promise<Record<string, string>>;
  /** How it ended, whenever that is. */
  ended: Promise<string>;
  /** False if it has ended. */
  kill(signal: "SIGTERM" | "SIGKILL"): boolean;
};

/** Starts one process of the service. It ends by itself if we do. */
export function startChild({ name, file, env, onLine }: ChildOptions): Child {
  // A group of its own: Ctrl-C reaches us alone, and we decide who stops when.
  const child = fork(file, { execPath: process.execPath, env, silent: true, detached: true });
  let failure: string | undefined;
  for (const stream of [child.stdout, child.stderr]) if (stream) forwardLines(stream, (line) => onLine(name, line));

  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`${name} cannot be started: ${error.message}`));
    // Not "exit": its last words may still be in the pipe.
    child.once("close", (code, signal) => resolve(failure ?? `${name} ended with ${signal ?? `status ${code}`}`));
  });
  const ready = new Promise<Record<string, string>>((resolve, reject) => {
    onMessage(child, (message) => {
      if (message.type === "ready") resolve(message.about);
      else failure = `${name}: ${message.message}`;
    });
    void ended.then((how) => reject(new Error(how)));
  });
  // Whoever waits for `ready` hears of it; nobody does any more once one process has failed.
  ready.catch(() => undefined);
  return { name, pid: child.pid ?? 0, ready, ended, kill: (signal) => child.kill(signal) };
}

function onMessage(child: ChildProcess, listener: (message: ProcessMessage) => void): void {
  child.on("message", (message) => listener(message as ProcessMessage));
}

function forwardLines(stream: Readable, onLine: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on("line", onLine);
}
