import { ProblemError } from "../problem-error.ts";
import type { Context } from "./context.ts";
import { describeFailure, EXIT, failureLine } from "./exit-status.ts";

/** Does the same for each id. What the service refuses of one keeps the others from nothing, and is the exit status. */
export async function forEach(
  { terminal, json }: Pick<Context, "terminal" | "json">,
  ids: readonly string[],
  act: (id: string) => Promise<void>,
): Promise<number> {
  let status: number = EXIT.done;
  for (const id of ids) {
    try {
      await act(id);
    } catch (error) {
      const failure = describeFailure(error);
      if (!(error instanceof ProblemError) || failure.status !== EXIT.refused) throw error;
      terminal.say(failureLine(failure, json));
      status = failure.status;
    }
  }
  return status;
}
