import { pause } from "./pause.ts";
import { ProblemError, problemError } from "./problem-error.ts";

/** Tries of a request whose answer did not come, or said that the service is not available now. */
const TRIES = 4;
const RETRY_MS = 250;

/** Of what a route may answer, what it answers with success. */
export type Accepted<T> = Exclude<T, { code: string; status: number }>;

/** As much of a response as is read here. */
type Answer<T> = { ok: boolean; status: number; json(): Promise<T> };

/** What the service answered. Rejects with a ProblemError if it refused. */
export async function accepted<T>(what: string, response: Answer<T>): Promise<Accepted<T>> {
  if (!response.ok) throw await problemError(what, response);
  return (await response.json()) as Accepted<T>;
}

/** For requests that may be sent twice: tried again while the service is not there. */
export async function retried<T>(
  what: string,
  request: () => Promise<Answer<T>>,
  signal?: AbortSignal,
): Promise<Accepted<T>> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await accepted(what, await request());
    } catch (error) {
      const passing = error instanceof ProblemError ? error.status === 503 : error instanceof TypeError;
      if (!passing || attempt === TRIES) throw error;
      await pause(RETRY_MS * 2 ** attempt, signal);
    }
  }
}
