import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Job } from "../../../../api/contract/job-resource.ts";
import { brokenOffMs } from "../../../../api/state/jobs/idempotency.ts";
import { mountSmallDisk } from "../../../support/small-disk.ts";
import { openTempState } from "../../../support/temp-state.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../../support/test-app.ts";

const MIB = 1024 * 1024;

const mayMount = await mountSmallDisk(MIB).then(async (disk) => {
  await disk?.[Symbol.asyncDispose]();
  return disk !== null;
});
const why = mayMount ? "" : " (not run: this process may not mount a small disk)";

const submit = (app: TestApp, text: string) =>
  app.post("/v1/jobs", { prompt: "where is the sun", max_tokens: 10, metadata: { filler: text.slice(0, 512) } });

/** Submits until the disk is full. The jobs that were accepted, and the answer that was not. */
async function fill(app: TestApp) {
  const accepted: string[] = [];
  for (let n = 0; n < 20_000; n++) {
    const response = await submit(app, `${n} `.padEnd(512, "x"));
    if (response.status !== 202) return { accepted, refused: response };
    accepted.push((await readJson(Job, response)).id);
  }
  throw new Error("the disk is not full yet");
}

it.skipIf(!mayMount)(
  `a full disk refuses what is new, says so, and loses nothing that was accepted${why}`,
  { timeout: 120_000 },
  async () => {
    await using disk = await mountSmallDisk(3 * MIB);
    if (disk === null) throw new Error("no disk");
    await using app = await openTestApp({ state: await openTempState({ parent: disk.path }) });
    const { accepted, refused } = await fill(app);
    expect(accepted.length).toBeGreaterThan(10);
    expect(await readProblem(refused)).toMatchObject({
      status: 507,
      code: "storage_full",
      detail: expect.stringContaining("no room"),
    });
    expect(refused.headers.get("retry-after")).toBe("60");

    // A body that goes into a file leaves nothing of itself there.
    const large = await app.post("/v1/documents", "y".repeat(4 * MIB), "text/plain");
    expect(await readProblem(large)).toMatchObject({ status: 507 });
    expect(await readdir(join(app.state.directory, "bodies"))).toEqual([]);

    for (const id of accepted) {
      expect(await readJson(Job, await app.get(`/v1/jobs/${id}`))).toMatchObject({ id, status: "queued" });
    }

    await disk.grow(64 * MIB);
    const after = await submit(app, "room again");
    expect(after.status).toBe(202);
    accepted.push((await readJson(Job, after)).id);
    await expectAllRun(app, accepted);
  },
);

/** Every job comes to a worker, if need be by way of the sweeper, and none that was refused does. */
async function expectAllRun(app: TestApp, accepted: readonly string[]): Promise<void> {
  app.state.advance(brokenOffMs + 1);
  for (let after: string | undefined; ; ) {
    const { next } = await app.state.jobs.sweep(after);
    if (next === null) break;
    after = next;
  }
  const run = new Set<string>();
  for (;;) {
    const messages = await app.state.queue.receive({ max: 10, waitMs: 0, visibilityMs: 3_600_000 });
    if (messages.length === 0) break;
    for (const { body } of messages) {
      const { job } = JSON.parse(body);
      const claimed = await app.state.jobs.claim("default", job, "w");
      if (claimed.kind === "claimed") run.add(job);
      else expect(claimed.kind).toBe("leased");
    }
  }
  expect([...run].toSorted()).toEqual(accepted.toSorted());
}
