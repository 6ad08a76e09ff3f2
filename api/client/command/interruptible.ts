import { Interrupted } from "./errors.ts";
import type { Progress } from "./progress.ts";
import type { InterruptSignal, Terminal } from "./terminal.ts";

type Options = {
  terminal: Pick<Terminal, "isInteractive" | "ask" | "onInterrupt">;
  progress: Pick<Progress, "pause" | "resume">;
  /** What Ctrl-C may cancel, as in "Cancel job 17?". */
  what: string;
  cancel: () => Promise<unknown>;
  /** How to come back to it. */
  later: string;
};

/**
 * Runs a task that only waits for work elsewhere. Ctrl-C asks whether to cancel that work, to leave it running, or to
 * go on waiting; where nobody can be asked it is left running. Rejects with Interrupted in the first two cases.
 */
export async function interruptible<T>(
  { terminal, progress, what, cancel, later }: Options,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const over = new AbortController();
  let asking = false;

  const leave = () => stop.abort(new Interrupted(`Not waiting any more. ${later}`));

  async function askWhatToDo(): Promise<void> {
    asking = true;
    progress.pause();
    try {
      const signal = AbortSignal.any([stop.signal, over.signal]);
      const question = `\nCancel ${what}? y: cancel, n: only stop waiting, Enter: go on waiting `;
      const answer = (await terminal.ask(question, signal)).trim().toLowerCase();
      if (answer.startsWith("y")) {
        await cancel();
        stop.abort(new Interrupted(`Cancelled ${what}.`));
      } else if (answer.startsWith("n")) {
        leave();
      }
    } catch (error) {
      if (!over.signal.aborted) stop.abort(error);
    } finally {
      asking = false;
      progress.resume();
    }
  }

  const release = terminal.onInterrupt((signal: InterruptSignal) => {
    if (signal !== "SIGINT" || !terminal.isInteractive || asking) leave();
    else void askWhatToDo();
  });
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener("abort", () => reject(stop.signal.reason as Error), { once: true });
  });
  stopped.catch(() => undefined);
  try {
    // What the task is in the middle of, a request for instance, need not end first.
    return await Promise.race([task(stop.signal), stopped]);
  } finally {
    over.abort();
    release();
  }
}
