import { describe, expect, it } from "vitest";
import { createQueuePlaces, type Place } from "../../../../api/state/jobs/queue-places.ts";
import { seeded } from "../../../support/seeded.ts";

const job = (createdMs: number): Place => ({ createdMs, promptTokens: 10 + (createdMs % 7), completionTokens: 2 });

const sum = (jobs: Place[], of: "promptTokens" | "completionTokens") => jobs.reduce((all, each) => all + each[of], 0);

function exact(jobs: Place[], createdMs: number) {
  const older = jobs.filter((each) => each.createdMs < createdMs);
  return {
    jobs: older.length,
    promptTokens: sum(older, "promptTokens"),
    completionTokens: sum(older, "completionTokens"),
  };
}

describe("the places of a queue", () => {
  it("are exact while there are few moments, in whatever order jobs come", () => {
    const random = seeded(1);
    const jobs = Array.from({ length: 5_000 }, () => job(Math.floor(random() * 1_000)));
    const places = createQueuePlaces();
    for (const each of jobs) places.add(each);
    for (let moment = -1; moment <= 1_001; moment += 7) expect(places.before(moment)).toEqual(exact(jobs, moment));
    expect(places.total).toEqual(exact(jobs, 1_001));
  });

  const day = 24 * 3_600_000;
  const long: Record<string, (random: () => number, n: number) => number> = {
    "at random over two weeks": (random) => Math.floor(random() * 14 * day),
    "one after the other": (_, n) => n * 3,
    "youngest first": (_, n) => 1e9 - n * 3,
    // As a listing has them: tenant by tenant, some of them long ago, one in a burst.
    "tenant by tenant, with a burst": (random, n) =>
      n < 20_000 ? n * 60_000 : 10 * day + Math.floor(random() * 20_000),
  };
  for (const [how, createdMs] of Object.entries(long)) {
    it(`are true to one in a hundred of many jobs that come ${how}`, () => {
      const random = seeded(2);
      const jobs = Array.from({ length: 40_000 }, (_, n) => job(createdMs(random, n)));
      const places = createQueuePlaces();
      for (const each of jobs) places.add(each);
      for (let n = 0; n < jobs.length; n += 1_003) {
        const moment = jobs[n]?.createdMs ?? 0;
        const [found, right] = [places.before(moment), exact(jobs, moment)];
        expect(Math.abs(found.jobs - right.jobs)).toBeLessThan(jobs.length / 100);
        expect(Math.abs(found.promptTokens - right.promptTokens)).toBeLessThan(places.total.promptTokens / 100);
      }
      expect(places.total).toEqual(exact(jobs, Number.POSITIVE_INFINITY));
    });
  }

  it("never say that a younger job goes before an older one", () => {
    const random = seeded(3);
    const places = createQueuePlaces(64);
    for (let n = 0; n < 20_000; n++) places.add(job(Math.floor(random() * 1e7)));
    let last = 0;
    for (let moment = 0; moment <= 1e7; moment += 997) {
      const { jobs } = places.before(moment);
      expect(jobs).toBeGreaterThanOrEqual(last);
      last = jobs;
    }
  });
});
