import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import type { Claim } from "../../../api/state/jobs/job-claims.ts";
import { createHeartbeat, type HeartbeatNews } from "../../../worker/lease/heartbeat.ts";

/** A heartbeat whose clock moves when the test says so, over a queue whose extensions end when it says so. */
function open() {
  let nowMs = 0;
  let extended: (error?: Error) => void = () => {};
  const sleeping = new Set<{ untilMs: number; wake: () => void }>();
  const news: HeartbeatNews[] = [];
  const heartbeat = createHeartbeat(
    {
      jobs: { renew: async (claim) => claim },
      queue: {
        extend: () =>
          new Promise((resolve, reject) => {
            extended = (error) => (error ? reject(error) : resolve(true));
          }),
      },
      limits: { leaseMs: 300, visibilityMs: 300, heartbeatMs: 100, progressMs: 100 },
      monotonicMs: () => nowMs,
      delay: (ms, signal) =>
        new Promise((resolve) => {
          sleeping.add({ untilMs: nowMs + ms, wake: resolve });
          signal?.addEventListener("abort", () => resolve());
        }),
    },
    (_, told) => news.push(told),
  );
  async function pass(ms: number) {
    nowMs += ms;
    for (const sleeper of sleeping) {
      if (sleeper.untilMs > nowMs) continue;
      sleeping.delete(sleeper);
      sleeper.wake();
    }
    await turn();
  }
  return {
    heartbeat,
    news,
    pass,
    beat: () => pass(100),
    async extended(error?: Error) {
      extended(error);
      await turn();
    },
  };
}

const claim = { token: "t", state: { progress: {} } } as Claim;

it("keeps a job that is claimed while its message is being extended", async () => {
  const { heartbeat, news, beat, extended } = open();
  heartbeat.keep("receipt", null);
  await beat();
  heartbeat.keep("receipt", claim);
  await extended();
  expect(news).toEqual([]);
  await beat();
  await extended();
  expect(news).toEqual([{ kind: "renewed", claim }]);
  await heartbeat.drop("receipt");
});

it("counts the lease of a job from its claim, not from an extension that was begun before", async () => {
  const { heartbeat, news, pass, beat, extended } = open();
  heartbeat.keep("receipt", null);
  await beat();
  await pass(50);
  heartbeat.keep("receipt", claim);
  await pass(50);
  await extended();
  await beat();
  await pass(149);
  expect(news).toEqual([]);
  await extended();
  expect(news).toEqual([{ kind: "renewed", claim }]);
  await heartbeat.drop("receipt");
});

it.each([
  ["comes", undefined],
  ["fails", new Error("no answer")],
])("loses a job when its lease ends during a renewal, whose answer changes nothing when it %s", async (_, late) => {
  const { heartbeat, news, pass, beat, extended } = open();
  heartbeat.keep("receipt", claim);
  await beat();
  await pass(199);
  expect(news).toEqual([]);
  await pass(1);
  const lost = [{ kind: "lost", why: "the lease ended while it could not be renewed" }];
  expect(news).toEqual(lost);

  let isDropped = false;
  const dropped = heartbeat.drop("receipt").then(() => {
    isDropped = true;
  });
  await pass(1_000);
  expect(isDropped).toBe(false);
  await extended(late);
  await dropped;
  await beat();
  expect(news).toEqual(lost);
});

it("goes on to keep a message that nobody has claimed, however late its extension comes", async () => {
  const { heartbeat, news, pass, beat, extended } = open();
  heartbeat.keep("receipt", null);
  await beat();
  await pass(1_000);
  await extended();
  await beat();
  heartbeat.keep("receipt", claim);
  await pass(299);
  expect(news).toEqual([]);
  await pass(1);
  expect(news).toMatchObject([{ kind: "lost" }]);
  await extended();
  await heartbeat.drop("receipt");
});

it("renews a job after this process stood still for longer than the lease", async () => {
  const { heartbeat, news, pass, extended } = open();
  heartbeat.keep("receipt", claim);
  await pass(1_000);
  await pass(299);
  await extended();
  expect(news).toEqual([{ kind: "renewed", claim }]);
  await heartbeat.drop("receipt");
});

it("loses a job whose renewals fail as soon as its lease ends", async () => {
  const { heartbeat, news, pass, beat, extended } = open();
  heartbeat.keep("receipt", claim);
  await beat();
  const error = new Error("no route");
  await pass(150);
  await extended(error);
  await pass(49);
  expect(news).toEqual([{ kind: "warning", message: "heartbeat failed", error }]);
  await pass(1);
  expect(news).toMatchObject([{ kind: "warning" }, { kind: "lost" }]);
  await heartbeat.drop("receipt");
});

it("counts the lease anew from the start of each renewal", async () => {
  const { heartbeat, news, pass, beat, extended } = open();
  heartbeat.keep("receipt", claim);
  await beat();
  await pass(150);
  await extended();
  await pass(149);
  expect(news).toEqual([{ kind: "renewed", claim }]);
  await pass(1);
  expect(news).toMatchObject([{ kind: "renewed" }, { kind: "lost" }]);
  await extended();
  await heartbeat.drop("receipt");
});

it("loses it even where the clock is past the end of the lease when the next renewal is due", async () => {
  const { heartbeat, news, pass, beat, extended } = open();
  heartbeat.keep("receipt", claim);
  await beat();
  await extended();
  await beat();
  await pass(50);
  await extended(new Error("no route"));
  await pass(50);
  await pass(150);
  expect(news).toMatchObject([{ kind: "renewed" }, { kind: "warning" }, { kind: "lost" }]);
  await extended(new Error("no route"));
  await heartbeat.drop("receipt");
});
