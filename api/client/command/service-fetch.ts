import { UnreachableError } from "../errors.ts";
import { createRetryingFetch, type FailedTry, type RetryOptions } from "../retrying-fetch.ts";

type Options = Pick<RetryOptions, "maxRetries" | "maxElapsedMs" | "firstWaitMs"> & {
  url: string;
  say: (line: string) => void;
  fetch: typeof fetch;
  now: () => number;
};

/** A service may restart or be full for minutes without a long run coming to nothing. */
const MAX_ELAPSED_MS = 5 * 60_000;
const MAX_RETRIES = 60;

/**
 * `fetch` that says what it waits for, and where it could not reach. A first request that nobody answers fails at once;
 * after that each is tried again for some minutes.
 */
export function createServiceFetch({ url, say, fetch: send, now, ...retry }: Options): typeof fetch {
  let reached = false;
  let saidUntilMs = 0;

  // Several requests wait at the same time: one line is enough until the try that it tells of.
  function tellRetry({ status, waitMs }: FailedTry & { waitMs: number }) {
    if (now() < saidUntilMs) return;
    saidUntilMs = now() + waitMs;
    say(`${capital(reasonOf(status))}, next try in ${Math.ceil(waitMs / 1000)} s.`);
  }

  function tellGiveUp({ status, tries, waitMs }: FailedTry & { waitMs: number | null }) {
    const later = waitMs === null ? "" : ` It asks to come back in ${Math.ceil(waitMs / 1000)} s.`;
    // Without either there is nothing to add to the error that comes of it.
    if (tries === 1 && waitMs === null) return;
    say(`${tries === 1 ? "Not waited for" : `Given up after ${tries} tries`}: ${reasonOf(status)}.${later}`);
  }

  const reach: typeof fetch = async (input, init) => {
    const response = await send(input, init);
    reached = true;
    return response;
  };
  const patient = createRetryingFetch(
    { fetch: reach, now },
    {
      maxRetries: MAX_RETRIES,
      maxElapsedMs: MAX_ELAPSED_MS,
      ...retry,
      isPassing: () => reached,
      onRetry: tellRetry,
      onGiveUp: tellGiveUp,
    },
  );

  return async (input, init) => {
    try {
      return await patient(input, init);
    } catch (error) {
      throw error instanceof TypeError ? unreachable(url, error) : error;
    }
  };
}

function reasonOf(status: number | null): string {
  if (status === null) return "the service does not answer";
  if (status === 429) return "rate limited (429)";
  return status === 507 ? "the service's disk is full (507)" : `the service is not available (${status})`;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function unreachable(url: string, error: TypeError): UnreachableError {
  const { code } = (error.cause ?? {}) as { code?: string };
  return new UnreachableError(
    `Cannot reach the service at ${url}${code === undefined ? "" : ` (${code})`}. ` +
      "Start it with `npm start`, or name another with GNOMON_URL or --url.",
  );
}
