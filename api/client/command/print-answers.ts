import type { JobResult } from "../../contract/job-result.ts";
import type { Context } from "./context.ts";

/** The answers to read, each below its question where there are several; or the result as the service gave it. */
export function printAnswers({ terminal, json }: Pick<Context, "terminal" | "json">, result: JobResult): void {
  if (json) {
    terminal.print(JSON.stringify(result));
    return;
  }
  const { answers } = result;
  for (const [index, { question, answer }] of answers.entries()) {
    if (answers.length > 1) terminal.print(`${index === 0 ? "" : "\n"}${question ?? ""}`);
    terminal.print(answer);
  }
}
