import { describe, expect, it } from "vitest";
import { createScaler, scalingDefaults } from "../../../infra/scaling/policy.ts";
import { simulate } from "../../../infra/scaling/simulate.ts";
import { createTraces, type Trace } from "../../../infra/scaling/traces.ts";

const policy = { ...scalingDefaults, maxWorkers: 32 };
const costs = { coldStartSeconds: 240, onDemandHour: 1, spotHour: 0.4 };
const trace = (arrivals: Trace["arrivals"], storms: Trace["storms"] = []): Trace => ({
  name: "test",
  arrivals,
  storms,
  seconds: 24 * 3_600,
});
const jobs = (count: number, gpuSeconds: number) => Array.from({ length: count }, () => ({ atSeconds: 0, gpuSeconds }));

describe("the scaler", () => {
  const minutes = (scaler: ReturnType<typeof createScaler>, backlogSeconds: number, running: number, count: number) =>
    Array.from({ length: count }, () => {
      clock += 60;
      return scaler.step({ atSeconds: clock, backlogSeconds, running });
    });
  let clock = 0;

  it("starts the first worker in the first minute of any work, and no second one while that starts", () => {
    clock = 0;
    const scaler = createScaler(policy);
    expect(minutes(scaler, 0, 0, 2)).toEqual([0, 0]);
    expect(minutes(scaler, 1, 0, 4)).toEqual([1, 1, 1, 1]);
  });

  it("goes up after three minutes over the target to what would meet it, and never over the most", () => {
    clock = 0;
    const scaler = createScaler(policy);
    expect(minutes(scaler, 6_000, 1, 4).at(-1)).toBe(10);
    expect(minutes(scaler, 600_000, 10, 4).at(-1)).toBe(32);
  });

  it("goes down only after a quarter of an hour below the target, to nothing where there is no work", () => {
    clock = 0;
    const scaler = createScaler(policy);
    minutes(scaler, 6_000, 1, 4);
    expect(minutes(scaler, 0, 10, 14).at(-1)).toBe(10);
    expect(minutes(scaler, 0, 10, 2).at(-1)).toBe(0);
  });
});

describe("the simulation", () => {
  it("does one job by one worker after one cold start, and pays for no more than that and the way back to zero", () => {
    const outcome = simulate(trace(jobs(1, 60)), policy, costs);
    expect(outcome).toMatchObject({ jobs: 1, unfinished: 0, coldStarts: 1, spotHours: 0 });
    expect(outcome.queueWaitSeconds.max).toBeGreaterThanOrEqual(240);
    expect(outcome.queueWaitSeconds.max).toBeLessThan(240 + 2 * 60);
    expect(outcome.onDemandHours).toBeLessThan(1);
    expect(outcome.samples.at(-1)).toMatchObject({ backlogSeconds: 0, desired: 0 });
  });

  it("neither loses nor invents work: what is paid for is at least what was done", () => {
    for (const each of createTraces(7)) {
      const outcome = simulate(each, policy, costs);
      expect(outcome.unfinished).toBe(0);
      const work = each.arrivals.reduce((sum, { gpuSeconds }) => sum + gpuSeconds, 0);
      const paid = (outcome.onDemandHours + outcome.spotHours) * 3_600;
      expect(outcome.gpuUtilisation * paid).toBeCloseTo(work, 3);
      expect(paid).toBeGreaterThan(work + outcome.lostSeconds);
    }
  });

  it("does the jobs of interrupted Spot workers again, and none of On-Demand workers", () => {
    const storms = [{ atSeconds: 900, share: 1, withoutCapacitySeconds: 600 }];
    const spot = simulate(trace(jobs(400, 60), storms), policy, costs);
    expect(spot.interruptions).toBeGreaterThan(0);
    expect(spot.lostSeconds).toBeGreaterThan(0);
    expect(spot.unfinished).toBe(0);
    const steady = simulate(trace(jobs(400, 60), storms), { ...policy, onDemandBase: 32 }, costs);
    expect(steady).toMatchObject({ interruptions: 0, lostSeconds: 0, spotHours: 0 });
  });

  it("is the same every time for one seed", () => {
    const run = () => createTraces(3).map((each) => simulate(each, policy, costs).cost);
    expect(run()).toEqual(run());
  });
});

describe("the default policy", () => {
  it("keeps the wait of 99 in 100 jobs within its target on steady and on bursty days, and no cheaper target does", () => {
    const days = createTraces(1).slice(0, 2);
    const tried = [60, 150, 300, 600, 1_200].map((targetSeconds) => {
      const outcomes = days.map((day) => simulate(day, { ...policy, targetSeconds }, costs));
      return {
        targetSeconds,
        cost: outcomes.reduce((sum, { cost }) => sum + cost, 0),
        wait: Math.max(...outcomes.map(({ queueWaitSeconds }) => queueWaitSeconds.p99)),
      };
    });
    const kept = tried.filter(({ wait }) => wait < scalingDefaults.targetSeconds).sort((a, b) => a.cost - b.cost);
    expect(kept[0]?.targetSeconds).toBe(scalingDefaults.targetSeconds);
    expect(kept.length).toBeLessThan(tried.length);
  });
});
