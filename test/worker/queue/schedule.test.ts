import { describe, expect, it } from "vitest";
import { createFairShare } from "../../../worker/queue/fair-share.ts";
import {
  AGEING_MS,
  type Candidate,
  chooseNext,
  needs,
  PATIENCE_MS,
  type Room,
} from "../../../worker/queue/schedule.ts";
import { seeded } from "../../support/seeded.ts";

const NOW = 1_000_000_000;

const job = (changes: Partial<Candidate> = {}): Candidate => ({
  tenant: "t",
  document: null,
  priority: "normal",
  deliverByMs: null,
  createdMs: NOW,
  receivedMs: NOW,
  tokens: 1_000,
  seats: 1,
  memory: { deviceBytes: 10, hostBytes: 10 },
  isSuspect: false,
  ...changes,
});

const room = (changes: Partial<Room> = {}): Room => ({
  seats: 8,
  freeSeats: 4,
  memory: { deviceBytes: 100, hostBytes: 100 },
  freeMemory: { deviceBytes: 50, hostBytes: 50 },
  isIdle: false,
  isReserved: false,
  documents: new Set(),
  ...changes,
});

const choose = (candidates: Candidate[], changes: Partial<Room> = {}) =>
  chooseNext(candidates, room(changes), createFairShare(), NOW);

describe("the order", () => {
  it("is by priority, then by deadline, then by documents at work, then the largest first", () => {
    const large = job({ memory: { deviceBytes: 40, hostBytes: 0 } });
    const warm = job({ document: "d" });
    const due = job({ deliverByMs: NOW + 1 });
    const high = job({ priority: "high" });
    const low = job({ priority: "low", deliverByMs: NOW });
    const left = [low, job(), large, warm, due, high];
    const order: Candidate[] = [];
    while (left.length > 0) {
      const next = choose(left, { documents: new Set(["t/d"]) });
      if (next === null) throw new Error("nothing chosen");
      left.splice(left.indexOf(next), 1);
      order.push(next);
    }
    expect(order.slice(0, 4)).toEqual([high, due, warm, large]);
    expect(order.at(-1)).toBe(low);
  });

  it("keeps the documents of tenants apart", () => {
    const other = job({ tenant: "other", document: "d" });
    const first = job({ document: "e", memory: { deviceBytes: 30, hostBytes: 0 } });
    expect(
      choose(
        [other, first].map((each) => ({ ...each, tenant: "t2" })),
        { documents: new Set(["t/d"]) },
      ),
    ).toEqual({
      ...first,
      tenant: "t2",
    });
  });

  it("lets waiting make up for priority", () => {
    const old = job({ priority: "low", createdMs: NOW - 2 * AGEING_MS, receivedMs: NOW - 1 });
    const high = job({ priority: "high", tokens: 1 });
    const share = createFairShare();
    const chosen = [chooseNext([old, high], room(), share, NOW), chooseNext([old, high], room(), share, NOW)];
    expect(chosen).toContain(old);
  });
});

describe("room", () => {
  it("lets a smaller job pass one that does not fit, but not for long", () => {
    const large = job({ memory: { deviceBytes: 50, hostBytes: 0 }, receivedMs: NOW - 1 });
    const small = job();
    const tight = { freeMemory: { deviceBytes: 20, hostBytes: 20 } };
    expect(choose([large, small], tight)).toBe(small);
    const overdue = { ...large, receivedMs: NOW - PATIENCE_MS };
    expect(choose([overdue, small], tight)).toBeNull();
    expect(choose([overdue, small])).toBe(overdue);
  });

  it("starts a job that is larger than the batch once half of it is free", () => {
    const huge = job({ seats: 64, memory: { deviceBytes: 500, hostBytes: 0 } });
    expect(choose([huge])).toBe(huge);
    expect(choose([huge], { freeSeats: 3 })).toBeNull();
  });

  it("runs anything on an idle engine", () => {
    const huge = job({ seats: 64, memory: { deviceBytes: 500, hostBytes: 500 } });
    expect(choose([huge], { isIdle: true, freeSeats: 0 })).toBe(huge);
  });
});

describe("a suspect", () => {
  it("waits for an idle engine, before everything else, and holds it alone", () => {
    const suspect = job({ isSuspect: true, priority: "low" });
    expect(choose([job(), suspect])).toBeNull();
    expect(choose([job(), suspect], { isIdle: true })).toBe(suspect);
    expect(choose([job()], { isReserved: true })).toBeNull();
  });
});

describe("whatever the jobs", () => {
  const priorities = ["high", "normal", "low"] as const;

  function randomJobs(random: () => number): Candidate[] {
    const below = (limit: number) => Math.floor(random() * limit);
    return Array.from({ length: 1 + below(30) }, () =>
      job({
        tenant: `t${below(4)}`,
        document: random() < 0.5 ? `d${below(3)}` : null,
        priority: priorities[below(3)] ?? "normal",
        deliverByMs: random() < 0.3 ? NOW + below(100_000) : null,
        createdMs: NOW - below(3 * AGEING_MS),
        receivedMs: NOW - below(2 * PATIENCE_MS),
        tokens: 1 + below(100_000),
        seats: 1 + below(12),
        memory: { deviceBytes: below(150), hostBytes: below(150) },
        isSuspect: random() < 0.05,
      }),
    );
  }

  it("never overfills, runs everything in the end, and never runs a suspect with others", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = seeded(seed);
      const waiting = randomJobs(random);
      const total = waiting.length;
      const share = createFairShare();
      const running: Candidate[] = [];
      let nowMs = NOW;
      let ended = 0;
      for (let step = 0; step < 20_000 && ended < total; step++) {
        nowMs += 1_000;
        const now = room({ isIdle: running.length === 0, isReserved: running.some(({ isSuspect }) => isSuspect) });
        const sum = (of: (need: ReturnType<typeof needs>) => number) =>
          running.reduce((taken, each) => taken + of(needs(each, now)), 0);
        now.freeSeats = now.seats - sum(({ seats }) => seats);
        now.freeMemory = {
          deviceBytes: 100 - sum(({ deviceBytes }) => deviceBytes),
          hostBytes: 100 - sum(({ hostBytes }) => hostBytes),
        };
        expect(now.freeSeats).toBeGreaterThanOrEqual(0);
        expect(Math.min(now.freeMemory.deviceBytes, now.freeMemory.hostBytes)).toBeGreaterThanOrEqual(0);
        const next = chooseNext(waiting, now, share, nowMs);
        if (next !== null) {
          waiting.splice(waiting.indexOf(next), 1);
          running.push(next);
          if (running.some(({ isSuspect }) => isSuspect)) expect(running.length).toBe(1);
        } else {
          expect(running.length).toBeGreaterThan(0);
          running.splice(Math.floor(random() * running.length), 1);
          ended++;
        }
      }
      expect(ended).toBe(total);
    }
  });
});
