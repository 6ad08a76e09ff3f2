import { limits } from "../../api/contract/limits.ts";

/** The times of a lease of `leaseMs`, in the proportions of the default one. */
export function leaseLimits(leaseMs: number) {
  const scaled = (ms: number): number => Math.round((ms / limits.leaseMs) * leaseMs);
  const heartbeatMs = scaled(limits.heartbeatMs);
  return {
    ...limits,
    leaseMs,
    visibilityMs: scaled(limits.visibilityMs),
    heartbeatMs,
    // Heartbeats are looked after as often as progress is.
    progressMs: Math.min(limits.progressMs, heartbeatMs),
    stallMs: Math.max(limits.stallMs, 2 * leaseMs),
  };
}
