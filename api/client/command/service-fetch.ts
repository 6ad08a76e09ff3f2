import { pause } from "../pause.ts";
import { UnreachableError } from "./errors.ts";

type Options = {
  url: string;
  say: (line: string) => void;
  fetch: typeof fetch;
  now: () => number;
  /** How long one request is tried again before its failure is final. */
  patienceMs?: number;
  /** The shortest time between two tries. */
  againMs?: number;
};

const PATIENCE_MS = 5 * 60_000;
/** A service that asks for more than this is not about to be there. */
const MAX_WAIT_MS = 60_000;
const AGAIN_MS = 2_000;

/**
 * `fetch` that says where it could not reach. A first request that nobody answers fails at once; after that the service
 * may restart or be busy for some minutes without a long run coming to nothing.
 */
export function createServiceFetch({
  url,
  say,
  fetch: send,
  now,
  patienceMs = PATIENCE_MS,
  againMs = AGAIN_MS,
}: Options): typeof fetch {
  let reached = false;
  let isAway = false;

  function tellAway(why: string) {
    if (!isAway) say(`${why} Trying again for up to ${Math.round(patienceMs / 60_000)} minutes.`);
    isAway = true;
  }

  return async (input, init) => {
    const giveUpMs = now() + patienceMs;
    for (;;) {
      const mayRepeat = isRepeatable(init) && now() < giveUpMs;
      let waitMs = againMs;
      try {
        const response = await send(input, init);
        reached = true;
        const askedMs = retryAfterMs(response);
        if (askedMs === null || askedMs > MAX_WAIT_MS || !mayRepeat) {
          isAway = false;
          return response;
        }
        waitMs = Math.max(askedMs, againMs);
        await response.body?.cancel();
        tellAway(`The service is busy (${response.status}).`);
      } catch (error) {
        // fetch rejects with one where nothing answers; anything else is the caller's.
        if (!(error instanceof TypeError)) throw error;
        if (!reached || !mayRepeat) throw unreachable(url, error);
        tellAway(`The service at ${url} does not answer.`);
      }
      await pause(waitMs, init?.signal ?? undefined);
    }
  };
}

/** Without harm, and without a body that is gone once it was sent. */
function isRepeatable(init: RequestInit | undefined): boolean {
  const method = init?.method ?? "GET";
  if (method === "GET") return true;
  return method === "POST" && new Headers(init?.headers).has("idempotency-key");
}

function retryAfterMs({ status, headers }: Response): number | null {
  const seconds = Number(headers.get("retry-after") ?? "none");
  return (status === 429 || status === 503) && seconds >= 0 ? seconds * 1000 : null;
}

function unreachable(url: string, error: TypeError): UnreachableError {
  const { code } = (error.cause ?? {}) as { code?: string };
  return new UnreachableError(
    `Cannot reach the service at ${url}${code === undefined ? "" : ` (${code})`}. ` +
      "Start it with `npm start`, or name another with GNOMON_URL or --url.",
  );
}
