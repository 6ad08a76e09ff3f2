// Entry of every npm script: sets the project up, then does what was asked. Runs on whatever Node npm
// runs on, before anything is installed, so this file and those beside it are plain JavaScript.
import { lint } from "./lint.mjs";
import { runProgram } from "./run-program.mjs";
import { setUp } from "./set-up.mjs";
import { SetupError } from "./step.mjs";
import { test } from "./test.mjs";

const USAGE =
  "usage: with-setup.mjs run FILE.ts [args...] | run-without-engine FILE.ts [args...] | test [vitest filters...] | contract [args...] | lint | stage api|worker OUT [MODEL]";

async function main([command, ...args]) {
  switch (command) {
    case "run":
    case "run-without-engine": {
      if (args.length === 0) throw new SetupError(USAGE);
      // Which takes minutes to build.
      return runProgram(await setUp({ native: command === "run" }), args);
    }
    case "stage":
      // Only the worker has the engine.
      return runProgram(await setUp({ native: args[0] === "worker" }), ["infra/containers/stage.ts", ...args]);
    case "test":
      return test(await setUp({ tests: args.length === 0, python: true }), args);
    case "contract":
      return runProgram(await setUp({ contract: true }), ["test/contract/run.ts", ...args]);
    case "lint":
      return lint(await setUp({ native: false, python: true }));
    default:
      throw new SetupError(USAGE);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
