import { vi } from "vitest";
import { PATIENCE_MS } from "./patience.ts";

/** Calls until it does not throw any more, and gives what it then returns: for what others do in their own time. */
export const eventually = <T>(attempt: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(attempt, { timeout: PATIENCE_MS, interval: 20 });
