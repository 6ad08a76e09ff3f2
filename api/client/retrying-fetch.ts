import { parseRetryAfter } from "../contract/retry-after.ts";
import { pause } from "./pause.ts";

/** What one try came to: a status that will pass, or null where no answer came. */
export type FailedTry = { status: number | null; tries: number };

export type RetryOptions = {
  /** Tries after the first. */
  maxRetries?: number | undefined;
  /** From the first try to the last, with the waits between them. */
  maxElapsedMs?: number | undefined;
  /** Of the first wait; each one after it is up to twice as long. */
  firstWaitMs?: number | undefined;
  /** Before each wait. */
  onRetry?: ((failed: FailedTry & { waitMs: number }) => void) | undefined;
  /** Once it was tried again, and is no more. `waitMs` is how long the service would have it wait. */
  onGiveUp?: ((failed: FailedTry & { waitMs: number | null }) => void) | undefined;
  /** Whether an error of `fetch` may pass. */
  isPassing?: ((error: TypeError) => boolean) | undefined;
};

type Deps = { fetch: typeof fetch; now?: () => number; random?: () => number };

/** OpenAI's client tries twice more, from half a second on and up to 8: our own deploys take longer than that. */
const MAX_RETRIES = 4;
const MAX_ELAPSED_MS = 2 * 60_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
/** Many that were told the same time must not come back at once. */
const SPREAD_MS = 1_000;

/** A proxy or a service that is full, restarting or gone for the moment; 507 is a disk that is being cleared. */
const PASSING = new Set([408, 429, 502, 503, 504, 507]);

/**
 * POST that changes nothing more the second time: documents are kept by their content, a quote keeps nothing, and of two
 * files that were stored one is heard of, and used, and the other expires.
 */
const SAME_TWICE = /\/v1\/(documents|files|jobs\/quote|(jobs|batches)\/[^/]+\/cancel)$/;

/**
 * `fetch` that tries again what may be sent twice, while the service is not there or says that it is not now: after what
 * Retry-After says, else with full jitter. Whatever is left of a refusal is returned, and of an error thrown.
 */
export function createRetryingFetch(
  { fetch: send, now = Date.now, random = Math.random }: Deps,
  {
    maxRetries = MAX_RETRIES,
    maxElapsedMs = MAX_ELAPSED_MS,
    firstWaitMs = FIRST_WAIT_MS,
    onRetry = () => {},
    onGiveUp = () => {},
    isPassing = () => true,
  }: RetryOptions = {},
): typeof fetch {
  function waitOf(tries: number, askedMs: number | null): number {
    if (askedMs !== null) return askedMs + random() * Math.min(SPREAD_MS, firstWaitMs * 2);
    return random() * Math.min(LONGEST_WAIT_MS, firstWaitMs * 2 ** (tries - 1));
  }

  return async (input, init) => {
    init?.signal?.throwIfAborted();
    if (!isRepeatable(input, init)) return send(input, init);
    const endMs = now() + maxElapsedMs;
    for (let tries = 1; ; tries++) {
      const tried = await attempt(send, input, init, isPassing);
      if (tried.kind === "done") return tried.response;
      const status = tried.kind === "refused" ? tried.response.status : null;
      const askedMs =
        tried.kind === "refused" ? parseRetryAfter(tried.response.headers.get("retry-after"), now()) : null;
      const waitMs = waitOf(tries, askedMs);
      if (tries > maxRetries || now() + waitMs > endMs) {
        onGiveUp({ status, tries, waitMs: askedMs });
        if (tried.kind === "refused") return tried.response;
        throw tried.error;
      }
      onRetry({ status, tries, waitMs });
      if (tried.kind === "refused") await tried.response.body?.cancel();
      await pause(waitMs, init?.signal ?? undefined);
    }
  };
}

type Tried =
  | { kind: "done"; response: Response }
  | { kind: "refused"; response: Response }
  | { kind: "broken"; error: TypeError };

async function attempt(
  send: typeof fetch,
  input: Parameters<typeof fetch>[0],
  init: RequestInit | undefined,
  isPassing: (error: TypeError) => boolean,
): Promise<Tried> {
  try {
    const response = await send(input, uncut(init));
    if (PASSING.has(response.status)) return { kind: "refused", response };
    return { kind: "done", response: await whole(response) };
  } catch (error) {
    const unreadable = unreadableOf(error);
    if (unreadable !== null) throw unreadable;
    // fetch rejects with one where nothing answers, and a body that breaks off does; anything else is the caller's.
    if (!(error instanceof TypeError) || init?.signal?.aborted || !isPassing(error)) throw error;
    return { kind: "broken", error };
  }
}

/** Of a file that was to be sent, and was changed since it was opened: it would be no better the next time. */
const unreadableOf = (error: unknown): DOMException | null =>
  error instanceof TypeError && error.cause instanceof DOMException && error.cause.name === "NotReadableError"
    ? error.cause
    : null;

/** What is on its way may have its effect: an abort waits for the answer, which says what came of it. */
function uncut(init: RequestInit | undefined): RequestInit | undefined {
  if (init?.method !== "POST") return init;
  const { signal: _, ...rest } = init;
  return rest;
}

/** JSON is read as a whole by everybody: read here, a connection that breaks in the middle of it is tried again too. */
async function whole(response: Response): Promise<Response> {
  if (!/^application\/json\b/.test(response.headers.get("content-type") ?? "")) return response;
  const { status, statusText, headers } = response;
  return new Response(await response.arrayBuffer(), { status, statusText, headers });
}

function isRepeatable(input: Parameters<typeof fetch>[0], init: RequestInit | undefined): boolean {
  const request = input instanceof Request ? input : null;
  const method = init?.method ?? request?.method ?? "GET";
  if (method === "GET" || method === "HEAD") return true;
  // A stream is gone once it was sent.
  if (init?.body instanceof ReadableStream || request?.body) return false;
  if (method === "DELETE" || method === "PUT") return true;
  const { pathname } = new URL(input instanceof Request ? input.url : input);
  return new Headers(init?.headers).has("idempotency-key") || SAME_TWICE.test(pathname);
}
