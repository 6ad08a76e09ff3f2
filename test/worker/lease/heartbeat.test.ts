import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import type { Claim } from "../../../api/state/jobs/job-claims.ts";
import { createHeartbeat, type HeartbeatNews } from "../../../worker/lease/heartbeat.ts";

/** A heartbeat that beats when the test says so, over a queue whose extensions end when it says so. */
function open() {
  let nowMs = 0;
  let beat: () => void = () => {};
  let extended: () => void = () => {};
  const news: HeartbeatNews[] = [];
  const heartbeat = createHeartbeat(
    {
      jobs: { renew: async (claim) => claim },
      queue: {
        extend: () =>
          new Promise((resolve) => {
            extended = () => resolve(true);
          }),
      },
      limits: { leaseMs: 300, visibilityMs: 300, heartbeatMs: 100, progressMs: 100 },
      monotonicMs: () => nowMs,
      delay: (_, signal) =>
        new Promise((resolve) => {
          beat = resolve;
          signal?.addEventListener("abort", () => resolve());
        }),
    },
    (_, told) => news.push(told),
  );
  return {
    heartbeat,
    news,
    async beat() {
      nowMs += 100;
      beat();
      await turn();
    },
    async extended() {
      extended();
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
