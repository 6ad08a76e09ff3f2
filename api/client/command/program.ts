import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { askCommand } from "./ask.ts";
import { batchCommand } from "./batch.ts";
import { cancelCommand } from "./cancel.ts";
import { createRun } from "./command.ts";
import type { ContextDeps } from "./context.ts";
import { describeFailure, EXIT, failureLine } from "./exit-status.ts";
import { keysCommand } from "./keys.ts";
import { logsCommand } from "./logs.ts";
import { resultCommand } from "./result.ts";
import { statusCommand } from "./status.ts";
import { submitCommand } from "./submit.ts";
import { summarizeCommand } from "./summarize.ts";

export type ProgramDeps = ContextDeps & { version: string };

/** Runs `gnomon ARGS` to its end and returns the exit status. Whatever goes wrong is one line on standard error. */
export async function runCommand(args: readonly string[], deps: ProgramDeps): Promise<number> {
  const { terminal } = deps;
  let status: number = EXIT.done;
  const run = createRun(deps, (given) => {
    status = given;
  });
  const program = new Command("gnomon")
    .description("Long-context language-model jobs: send documents, ask, and collect the answers.")
    .version(deps.version, "-V, --version", "print the version")
    .addCommand(askCommand(run))
    .addCommand(submitCommand(run))
    .addCommand(batchCommand(run))
    .addCommand(summarizeCommand(run))
    .addCommand(statusCommand(run))
    .addCommand(logsCommand(run))
    .addCommand(resultCommand(run))
    .addCommand(cancelCommand(run))
    .addCommand(keysCommand(run))
    .addHelpText("after", HELP);
  // Commands inherit neither from the program that they are added to.
  for (const command of withSubcommands(program as CommandUnknownOpts)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => void terminal.out.write(text),
      writeErr: (text) => void terminal.err.write(text),
      // Thrown as well, and said below.
      outputError: () => undefined,
    });
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return status;
  } catch (error) {
    // The help was asked for, or has been shown for want of a command.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done;
    if (error instanceof CommanderError && error.code === "commander.help") return EXIT.usage;
    const failure = describeFailure(error);
    terminal.say(failureLine(failure, args.includes("--json")));
    return failure.status;
  }
}

const HELP = `
With \`npm start\` in another terminal:
  gnomon ask minutes.txt -q "When does contract KD-4417 expire?"
  gnomon summarize archive

Environment: GNOMON_URL (default http://localhost:8080), GNOMON_API_KEY.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 service unavailable,
4 no or wrong API key, 5 request refused, 6 not over yet, 130 interrupted.`;

const withSubcommands = (command: CommandUnknownOpts): CommandUnknownOpts[] => [
  command,
  ...command.commands.flatMap(withSubcommands),
];
