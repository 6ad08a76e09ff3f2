import { expect, it } from "vitest";
import { Job } from "../../../../api/contract/job-resource.ts";
import { createWorkerReports } from "../../../../api/state/worker-reports.ts";
import { openTempState } from "../../../support/temp-state.ts";
import { openTestApp, readJson, type TestApp } from "../../../support/test-app.ts";
import { workerReport } from "../../../support/worker-report.ts";

const openStill = async () => openTestApp({ state: await openTempState({ isStill: true }) });
const read = async (app: TestApp, id: string) => readJson(Job, await app.get(`/v1/jobs/${id}`));
const report = (app: TestApp) =>
  createWorkerReports({ objects: app.state.objects, now: app.state.now }).put("w", workerReport());

async function submitInTurn(app: TestApp, ...bodies: object[]): Promise<Job[]> {
  const jobs: Job[] = [];
  for (const body of bodies) {
    jobs.push(await app.submit(body));
    app.state.advance(5);
  }
  return jobs;
}

it("tells a queued job its place: by priority, then by age", async () => {
  await using app = await openStill();
  const jobs = await submitInTurn(app, {}, { priority: "low" }, {}, { priority: "high" });
  expect(jobs.map(({ queue_position }) => queue_position)).toEqual([0, 1, 1, 0]);
  const later = await Promise.all(jobs.map(({ id }) => read(app, id)));
  expect(later.map(({ queue_position }) => queue_position)).toEqual([1, 3, 2, 0]);
});

it("moves jobs up as others end", async () => {
  await using app = await openStill();
  const [first, second] = await submitInTurn(app, {}, {});
  await app.state.jobs.cancel("default", first?.id ?? "");
  app.state.advance(60_000);
  expect((await read(app, second?.id ?? "")).queue_position).toBe(0);
});

it("knows no time before a worker has measured anything", async () => {
  await using app = await openStill();
  expect(await app.submit()).toMatchObject({ queue_position: 0, estimated_start_at: null, estimated_finish_at: null });
});

it("predicts start and end from the measured rates and what goes before", async () => {
  await using app = await openStill();
  await report(app);
  const [, second] = await submitInTurn(app, { max_tokens: 80 }, { max_tokens: 40 });
  const start = (second?.estimated_start_at ?? 0) - (second?.created_at ?? 0);
  // 9 prompt tokens at 100 a second, 80 at 10, and half a second of rounding.
  expect(Math.abs(start - 8.09)).toBeLessThan(0.51);
  expect((second?.estimated_finish_at ?? 0) - (second?.estimated_start_at ?? 0)).toBe(4);
});

it("predicts the end of a running job from what is left of it", async () => {
  await using app = await openStill();
  await report(app);
  const { id } = await app.submit({ max_tokens: 80 });
  const claim = await app.claim(id);
  const before = await read(app, id);
  await app.state.jobs.renew(claim, { ...claim.state.progress, prefill_tokens: 9, generated_tokens: 60 });
  const after = await read(app, id);
  expect(after).toMatchObject({ queue_position: null, estimated_start_at: null });
  expect((before.estimated_finish_at ?? 0) - (after.estimated_finish_at ?? 0)).toBeGreaterThanOrEqual(5);
});

it("reads the same twice while nothing changes", async () => {
  await using app = await openStill();
  await report(app);
  const { id } = await app.submit();
  const etag = (await app.get(`/v1/jobs/${id}`)).headers.get("etag") ?? "";
  app.state.advance(900);
  expect((await app.get(`/v1/jobs/${id}`, { "If-None-Match": etag })).status).toBe(304);
});
