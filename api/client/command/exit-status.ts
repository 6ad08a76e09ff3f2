import { CommanderError } from "@commander-js/extra-typings";
import { JobEnded, UnreachableError } from "../errors.ts";
import { ProblemError } from "../problem-error.ts";
import { Interrupted, UsageError } from "./errors.ts";

/** What the command says to the shell. api/client/README.md lists them for users. */
export const EXIT = {
  done: 0,
  /** A job ended without its answers, or something unforeseen happened. */
  failed: 1,
  usage: 2,
  /** The service is not there, or says that it cannot take this now: the same command may do later. */
  unavailable: 3,
  /** No API key, one that is not valid, or one that may not do this. */
  denied: 4,
  /** The service does not take the request as it is. */
  refused: 5,
  /** The job is not over yet. */
  pending: 6,
  interrupted: 130,
} as const;

export type Failure = { status: number; code: string; message: string; field: string | null };

/** One line for the reader, whatever was thrown, and the exit status that goes with it. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof ProblemError) return describeProblem(error);
  const message = oneLine(error instanceof Error ? error.message : String(error)).replace(/^error: /, "");
  const [status, code] = classify(error);
  return { status, code, message, field: null };
}

export const failureLine = ({ code, message, field }: Failure, json: boolean): string =>
  json ? JSON.stringify({ error: { code, message, field } }) : `gnomon: ${message}`;

function classify(error: unknown): [number, string] {
  if (error instanceof UsageError || error instanceof CommanderError) return [EXIT.usage, "usage"];
  if (error instanceof UnreachableError) return [EXIT.unavailable, "unreachable"];
  if (error instanceof Interrupted) return [EXIT.interrupted, "interrupted"];
  if (error instanceof JobEnded) return [EXIT.failed, error.code];
  return [EXIT.failed, "internal"];
}

function describeProblem({ code, status, problem, reason }: ProblemError): Failure {
  const hint =
    code === "api_key_missing" || code === "api_key_invalid" ? " The command takes it from GNOMON_API_KEY." : "";
  const exit = problem === null && status < 400 ? EXIT.unavailable : statusOf(status, code);
  return { status: exit, code, message: oneLine(reason + hint), field: problem?.field ?? null };
}

function statusOf(status: number, code: string): number {
  if (code === "result_not_ready" || code === "job_not_finished") return EXIT.pending;
  if (status === 401 || status === 403) return EXIT.denied;
  return status === 429 || status >= 500 ? EXIT.unavailable : EXIT.refused;
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();
