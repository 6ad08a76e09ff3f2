import { Command } from "@commander-js/extra-typings";
import { type CommonOptions, type Context, type ContextDeps, createContext } from "./context.ts";

/** Gives a command the context that its options ask for; the status that it returns becomes the exit status. */
export type Run = (options: CommonOptions, work: (context: Context) => Promise<number>) => Promise<void>;

export const createRun =
  (deps: ContextDeps, onStatus: (status: number) => void): Run =>
  async (options, work) => {
    const context = createContext(options, deps);
    try {
      onStatus(await work(context));
    } finally {
      context.progress.stop();
    }
  };

/** A command with the options that all of them have. */
export const createCommand = (name: string, description: string) =>
  new Command(name)
    .description(description)
    .option("--url <url>", "address of the service (default: GNOMON_URL, or http://localhost:8080)")
    .option("--json", "print JSON on standard output, errors as JSON on standard error")
    .option("--quiet", "no progress and no notes");
