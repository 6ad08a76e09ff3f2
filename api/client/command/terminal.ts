import { createInterface } from "node:readline/promises";
import type { Readable, Writable } from "node:stream";

export type Terminal = {
  in: Readable & { isTTY?: boolean };
  /** For what was asked for, and nothing else. */
  out: Writable;
  /** For everything that is only to be read. */
  err: Writable & { isTTY?: boolean };
  /** Somebody can be asked. */
  isInteractive: boolean;
  print(line: string): void;
  say(line: string): void;
  /** Resolves to the line that was typed. Rejects if the signal is aborted. */
  ask(question: string, signal: AbortSignal): Promise<string>;
  /**
   * Until the function it returns is called, Ctrl-C and signals to end go to the handler instead of ending us. Of several
   * the last one has them.
   */
  onInterrupt(handler: (signal: InterruptSignal) => void): () => void;
};

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type InterruptSignal = (typeof SIGNALS)[number];

type Process = Pick<NodeJS.Process, "stdin" | "stdout" | "stderr" | "on" | "off">;

export function createTerminal(process: Process): Terminal {
  const { stdin, stdout, stderr } = process;
  const handlers: ((signal: InterruptSignal) => void)[] = [];
  const pass = (signal: InterruptSignal): void => handlers.at(-1)?.(signal);
  return {
    in: stdin,
    out: stdout,
    err: stderr,
    isInteractive: stdin.isTTY === true && stderr.isTTY === true,
    print: (line) => void stdout.write(`${line}\n`),
    say: (line) => void stderr.write(`${line}\n`),
    async ask(question, signal) {
      // Not `terminal: true`: in raw mode a second Ctrl-C would reach readline instead of us.
      const lines = createInterface({ input: stdin, output: stderr, terminal: false });
      try {
        return await lines.question(question, { signal });
      } finally {
        lines.close();
      }
    },
    onInterrupt(handler) {
      if (handlers.push(handler) === 1) for (const signal of SIGNALS) process.on(signal, pass);
      return () => {
        handlers.splice(handlers.indexOf(handler), 1);
        if (handlers.length === 0) for (const signal of SIGNALS) process.off(signal, pass);
      };
    },
  };
}
