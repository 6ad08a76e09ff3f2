import { ProblemError, problemError } from "./problem-error.ts";

/** Of what a route may answer, what it answers with success. */
export type Accepted<T> = Exclude<T, { code: string; status: number }>;

/** As much of a response as is read here. */
type Answer<T> = { ok: boolean; status: number; json(): Promise<T> };

/** What the service answered. Rejects with a ProblemError if it refused. */
export async function accepted<T>(what: string, response: Answer<T> | Promise<Answer<T>>): Promise<Accepted<T>> {
  const answered = await response;
  if (!answered.ok) throw await problemError(what, answered);
  try {
    return (await answered.json()) as Accepted<T>;
  } catch (error) {
    // A page, of whatever else listens there.
    throw error instanceof SyntaxError ? new ProblemError(what, answered.status, null) : error;
  }
}
