import { Problem } from "../contract/problem.ts";

/** What the service refused or could not do, in its own words. `problem` has the rest: the offending field, numbers. */
export class ProblemError extends Error {
  readonly code: string;
  readonly status: number;
  readonly problem: Problem | null;

  constructor(what: string, status: number, problem: Problem | null) {
    super(
      problem
        ? `${what}: ${problem.title}. ${problem.detail}`
        : `${what} was answered with status ${status} and not as a Gnomon service does: is the address right?`,
    );
    this.name = "ProblemError";
    this.code = problem?.code ?? "unknown";
    this.status = status;
    this.problem = problem;
  }

  /** Of several documents the reader has to know which, and none of them is the body of a request to them. */
  about(document: string): ProblemError {
    const { problem, status } = this;
    if (problem === null) return this;
    const isOfBody = problem.detail.startsWith("`body` ");
    const detail = isOfBody ? problem.detail.replace("`body`", document) : `${document}: ${problem.detail}`;
    return new ProblemError(document, status, { ...problem, detail });
  }

  /** Without the request that it is about. */
  get reason(): string {
    return this.problem ? `${this.problem.title}. ${this.problem.detail}` : this.message;
  }
}

/** The error that a response is; a proxy in between may have sent no problem document. */
export async function problemError(what: string, response: Pick<Response, "status" | "json">): Promise<ProblemError> {
  const parsed = Problem.safeParse(await response.json().catch(() => null));
  return new ProblemError(what, response.status, parsed.success ? parsed.data : null);
}
