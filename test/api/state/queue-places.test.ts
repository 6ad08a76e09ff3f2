import { describe, expect, it } from "vitest";
import { createQueuePlaces, type Place } from "../../../api/state/queue-places.ts";
import { seeded } from "../../support/seeded.ts";

const job = (createdMs: number, promptTokens = 10, completionTokens = 1): Place => ({
  createdMs,
  promptTokens,
  completionTokens,
});

describe("places in a queue", () => {
  it("sums what is older than a moment", () => {
    const places = createQueuePlaces(100);
    expect(places.before(5)).toEqual({ jobs: 0, promptTokens: 0, completionTokens: 0 });
    places.push(job(1, 100, 3));
    places.push(job(2, 200, 5));
    expect(places.before(1)).toEqual({ jobs: 0, promptTokens: 0, completionTokens: 0 });
    expect(places.before(2)).toEqual({ jobs: 1, promptTokens: 100, completionTokens: 3 });
    expect(places.before(3)).toEqual({ jobs: 2, promptTokens: 300, completionTokens: 8 });
  });

  it("collects jobs in any order, and takes younger ones afterwards", () => {
    const random = seeded(7);
    const at = Array.from({ length: 5_000 }, () => 1_700_000_000_000 + Math.floor(random() * 1e9));
    const places = createQueuePlaces(10_000);
    places.push(job(5)); // of before, forgotten
    places.collect();
    for (const ms of at) places.push(job(ms, ms % 97, ms % 13));
    places.collected();
    places.push(job(1_800_000_000_000, 7, 2));
    for (const moment of [...at.slice(0, 50), 1_800_000_000_000, 1_800_000_000_001]) {
      const older = at.filter((ms) => ms < moment);
      const last = moment > 1_800_000_000_000 ? 1 : 0;
      expect(places.before(moment)).toEqual({
        jobs: older.length + last,
        promptTokens: older.reduce((sum, ms) => sum + (ms % 97), 0) + 7 * last,
        completionTokens: older.reduce((sum, ms) => sum + (ms % 13), 0) + 2 * last,
      });
    }
  });

  it("does not know what is older than a moment behind the last place it keeps", () => {
    const places = createQueuePlaces(3);
    for (const ms of [1, 2, 3]) places.push(job(ms));
    expect(places.before(9)?.jobs).toBe(3);
    places.push(job(4));
    expect(places.before(9)).toBeNull();
    expect(places.before(3)?.jobs).toBe(2);
    places.collect();
    places.collected();
    expect(places.before(9)?.jobs).toBe(0);
  });
});
