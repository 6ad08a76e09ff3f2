import { Command } from "@commander-js/extra-typings";
import { type CommonOptions, type Context, type ContextDeps, createContext } from "./context.ts";
import { Interrupted } from "./errors.ts";

/** Gives a command the context that its options ask for; the status that it returns becomes the exit status. */
export type Run = (options: CommonOptions, work: (context: Context) => Promise<number>) => Promise<void>;

export const createRun =
  (deps: ContextDeps, onStatus: (status: number) => void): Run =>
  async (options, work) => {
    const context = createContext(options, deps);
    let release = () => {};
    // What waits for work elsewhere hears of it first. The rest ends here, and leaves the terminal as it was.
    const interrupted = new Promise<never>((_, reject) => {
      release = context.terminal.onInterrupt(() => reject(new Interrupted("Interrupted.")));
    });
    try {
      onStatus(await Promise.race([work(context), interrupted]));
    } finally {
      context.progress.stop();
      release();
    }
  };

/** A command with the options that all of them have. */
export const createCommand = (name: string, description: string) =>
  new Command(name)
    .description(description)
    .option("--url <url>", "address of the service (default: GNOMON_URL, or http://localhost:8080)")
    .option("--json", "print JSON on standard output, errors as JSON on standard error")
    .option("--quiet", "no progress and no notes");
