import { expect, it } from "vitest";
import { keys } from "../../../api/contract/keys.ts";
import { createWorkerReports } from "../../../api/state/worker-reports.ts";
import { openTempState } from "../../support/temp-state.ts";
import { workerReport } from "../../support/worker-report.ts";

const minutes = 60_000;

it("keeps the rates of a worker that said it stops, without counting it as there", async () => {
  await using state = await openTempState();
  const reports = createWorkerReports(state);
  await reports.put("a", workerReport({ stopping: true }));
  expect(await reports.ofModel("words")).toMatchObject({ live: false, reports: [{ stopping: true }] });
});

it("counts only workers that are there while there are any", async () => {
  await using state = await openTempState();
  const reports = createWorkerReports(state);
  await reports.put("a", workerReport({ owner: "gone", stopping: true }));
  await reports.put("b", workerReport({ owner: "here" }));
  expect(await reports.ofModel("words")).toMatchObject({ live: true, reports: [{ owner: "here" }] });
});

it("removes what workers left that came and went, but not the last of a model", async () => {
  await using state = await openTempState();
  const reports = createWorkerReports(state);
  const put = (id: string, ageMs: number, model = "words") =>
    reports.put(id, workerReport({ model, updated_ms: state.now() - ageMs }));
  await put("oldest", 30 * minutes);
  await put("newest", 20 * minutes);
  await put("other-model", 60 * minutes, "others");
  await put("ancient", 8 * 24 * 60 * minutes, "forgotten");
  expect((await reports.ofModel("words")).reports.length).toBe(1);
  expect((await state.objects.list(keys.workers)).map(({ key }) => key)).toEqual([
    keys.worker("newest"),
    keys.worker("other-model"),
  ]);
});

it("reads again after the clock was put back", async () => {
  await using state = await openTempState();
  const reports = createWorkerReports(state);
  expect((await reports.ofModel("words")).reports).toEqual([]);
  state.advance(-60 * minutes);
  await reports.put("a", workerReport({ owner: "here", updated_ms: state.now() }));
  expect(await reports.ofModel("words")).toMatchObject({ live: true, reports: [{ owner: "here" }] });
});
