import { describe, expect, it } from "vitest";
import { motoMissing } from "../support/moto.ts";
import { seeded } from "../support/seeded.ts";
import { awsBackend, type Backend, embeddedBackend } from "./backend.ts";
import { runChaos } from "./scenario.ts";

const options = { kills: 5, everyMs: 1_500, clockMs: 5_000, webhooks: false, isShort: true, log() {} };

// The short form of `npm run test:chaos`.
async function run(backend: Backend, seed: number) {
  try {
    const { findings, ...report } = await runChaos(backend, { ...options, seed });
    expect(findings).toEqual({ lost: [], duplicated: [], broken: [] });
    expect(report).toMatchObject({
      kills: options.kills,
      disks_filled: backend.disk === null ? 0 : expect.any(Number),
    });
    expect(report.jobs).toBeGreaterThan(5);
    return report;
  } finally {
    await backend.stop();
  }
}

describe("a service whose workers are killed under load", { timeout: 240_000 }, () => {
  it("loses and doubles nothing on files, even when the disk is full", async () => {
    await run(await embeddedBackend(), 7);
  });

  it.skipIf(motoMissing !== null)("loses and doubles nothing on S3 and SQS over a broken wire", async () => {
    const { faults } = await run(await awsBackend(seeded(107), 0.08), 8);
    // A short run sends the queue too few requests for all of the five, or for messages to shuffle.
    const { reordered: _, ...counts } = faults.s3 ?? {};
    expect(Object.values(counts)).toHaveLength(5);
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(0);
    expect(Object.values(faults.sqs ?? {}).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  });
});
