/** Both the terminal and npm may pass one Ctrl-C on: what comes within a second is the same one. */
const SAME_MS = 1_000;

/** `first` is aborted at the first Ctrl-C, SIGTERM or SIGHUP, `second` at the next. */
export function watchInterrupts(): { first: AbortSignal; second: AbortSignal } {
  const first = new AbortController();
  const second = new AbortController();
  let firstMs = 0;
  const onSignal = () => {
    if (first.signal.aborted && Date.now() - firstMs > SAME_MS) second.abort();
    if (first.signal.aborted) return;
    firstMs = Date.now();
    first.abort();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  return { first: first.signal, second: second.signal };
}

export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
