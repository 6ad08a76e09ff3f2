import { describe, expect, it } from "vitest";
import { busyDelayMs, RETRY_DELAYS_MS, retryDelayMs } from "../../../worker/webhook/schedule.ts";

const middle = () => 0.5;
const failed = (attempts: number, retryAfterMs: number | null = null) => ({ attempts, retryAfterMs });

describe("retryDelayMs", () => {
  it("makes ten attempts over 75 h 35 min 5 s", () => {
    const delays = RETRY_DELAYS_MS.map((_, index) => retryDelayMs(failed(index + 1), middle) ?? 0);
    expect(delays.reduce((sum, delay) => sum + delay, 0)).toBe(((75 * 60 + 35) * 60 + 5) * 1000);
    expect(retryDelayMs(failed(10), middle)).toBeNull();
  });

  it("spreads each delay by a tenth to both sides", () => {
    expect(retryDelayMs(failed(4), () => 0)).toBe(0.9 * 2 * 3_600_000);
    expect(retryDelayMs(failed(4), () => 0.999999)).toBeCloseTo(1.1 * 2 * 3_600_000, -2);
  });

  it("waits for as long as the receiver asks, up to a day, and never less than planned", () => {
    expect(retryDelayMs(failed(1, 60_000), middle)).toBe(60_000);
    expect(retryDelayMs(failed(3, 60_000), middle)).toBe(30 * 60_000);
    expect(retryDelayMs(failed(1, 10 * 24 * 3_600_000), middle)).toBe(24 * 3_600_000);
  });
});

describe("busyDelayMs", () => {
  it("doubles from five seconds to five minutes, and spreads each over its upper half", () => {
    const ceilings = [1, 2, 3, 7, 20_000].map((count) => busyDelayMs(count, () => 0.999999) / 1_000);
    expect(ceilings).toEqual([5, 10, 20, 300, 300]);
    expect(busyDelayMs(1, () => 0)).toBe(2_500);
    expect(busyDelayMs(20_000, () => 0)).toBe(150_000);
  });
});
