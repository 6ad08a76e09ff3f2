import { expect, it } from "vitest";
import { embeddedBackend } from "./backend.ts";
import { runChaos } from "./scenario.ts";

// The short form of `npm run test:chaos`.
it("loses and doubles nothing while workers are killed under load", { timeout: 240_000 }, async () => {
  const backend = await embeddedBackend();
  try {
    const options = { kills: 5, everyMs: 1_500, clockMs: 5_000, webhooks: false, isApiSpared: true, log() {} };
    const { findings, jobs } = await runChaos(backend, { seed: 7, ...options });
    expect(findings).toEqual({ lost: [], duplicated: [], broken: [] });
    expect(jobs).toBeGreaterThan(10);
  } finally {
    await backend.stop();
  }
});
