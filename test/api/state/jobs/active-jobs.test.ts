import { expect, it } from "vitest";
import { createActiveJobs, type Weight } from "../../../../api/state/jobs/active-jobs.ts";
import type { ActiveEntry } from "../../../../api/state/jobs/job-index.ts";

const weight: Weight = { tenant: "acme", createdMs: 1_000, priority: "normal", promptTokens: 9, completionTokens: 80 };

/** A store whose listings say what the test hands them, when it does. The clock stands still, but for `list`. */
function openActive() {
  let nowMs = 1_000;
  const asked: ((jobs: string[]) => void)[] = [];
  const active = createActiveJobs({
    index: {
      listActive: () =>
        new Promise((resolve) => {
          const entryOf = (job: string) => ({ ...weight, job }) as ActiveEntry;
          asked.push((jobs) => resolve({ entries: jobs.map(entryOf), next: null }));
        }),
    },
    now: () => nowMs,
  });
  return {
    active,
    count: () => active.of("acme").jobs,
    ahead: () => active.ahead({ ...weight, createdMs: nowMs + 1 }).jobs,
    /** Begins a listing; what comes back ends it. */
    list(laterMs = 60_000) {
      nowMs += laterMs;
      const done = active.update(true);
      return async (...jobs: string[]) => {
        asked.shift()?.(jobs);
        await done;
      };
    },
  };
}

it("counts a job once that was submitted in the very moment in which a listing began", async () => {
  const { active, count, ahead, list } = openActive();
  active.add("a", weight);
  active.submitted("a");
  await list(0)("a");
  expect([count(), ahead()]).toEqual([1, 1]);
});

it.each([
  ["has", ["a"]],
  ["does not have yet", []],
])("counts a job once whose submit is under way, and which the listing %s", async (_, listed) => {
  const { active, count, ahead, list } = openActive();
  active.add("a", weight);
  await list()(...listed);
  expect([count(), ahead()]).toEqual([1, 1]);
  active.submitted("a");
  await list()("a");
  expect([count(), ahead()]).toEqual([1, 1]);
});

it.each([
  ["has", ["a"]],
  ["misses", []],
])("counts a job once that is added during a listing, which %s it", async (_, listed) => {
  const { active, count, ahead, list } = openActive();
  const answer = list();
  active.add("a", weight);
  active.submitted("a");
  await answer(...listed);
  expect([count(), ahead()]).toEqual([1, 1]);
});

it("forgets a job whose submit fails during a listing", async () => {
  const { active, count, list } = openActive();
  active.add("a", weight);
  const answer = list();
  active.withdraw("a");
  expect(count()).toBe(0);
  await answer("a");
  expect(count()).toBe(0);
});

it("takes in what others submitted, and forgets what is over, with the next listing", async () => {
  const { active, count, list } = openActive();
  active.add("a", weight);
  active.submitted("a");
  await list()("b", "c");
  expect(count()).toBe(2);
});
