import type { SSEStreamingApi } from "hono/streaming";

/** Aborted when the client of an event stream is gone. */
export function endOf(stream: SSEStreamingApi, gone: AbortSignal): AbortSignal {
  const closed = new AbortController();
  stream.onAbort(() => closed.abort());
  return AbortSignal.any([closed.signal, gone]);
}
