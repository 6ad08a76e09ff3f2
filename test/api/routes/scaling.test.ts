import { beforeEach, describe, expect, it } from "vitest";
import { Scaling } from "../../../api/routes/scaling.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../support/test-app.ts";

let app: TestApp;
beforeEach(async () => {
  app = await openTestApp();
  return () => app[Symbol.asyncDispose]();
});

const submit = (question: string) => app.post("/v1/jobs", { document: { text: "a b c" }, question, max_tokens: 64 });
const scaling = async (query = "") => readJson(Scaling, await app.get(`/v1/scaling${query}`));

describe("GET /v1/scaling: 200", () => {
  it("tells of no work and no workers where there are no jobs", async () => {
    expect(await scaling()).toEqual({
      object: "scaling",
      jobs: 0,
      backlog_gpu_seconds: 0,
      oldest_age_seconds: 0,
      wanted_workers: 0,
    });
  });

  it("adds up the jobs that are not over, and wants one worker as soon as there is one", async () => {
    await submit("x?");
    const one = await scaling();
    expect(one).toMatchObject({ jobs: 1, wanted_workers: 1 });
    await submit("y?");
    const two = await scaling();
    expect(two.jobs).toBe(2);
    expect(two.backlog_gpu_seconds).toBeCloseTo(2 * one.backlog_gpu_seconds, 2);
  });

  it("wants as many workers as clear the backlog in the time that is given, up to the most there may be", async () => {
    await submit("x?");
    const { backlog_gpu_seconds } = await scaling();
    const query = `?target_seconds=${backlog_gpu_seconds / 3.5}`;
    expect((await scaling(query)).wanted_workers).toBe(4);
    expect((await scaling(`${query}&max_workers=2`)).wanted_workers).toBe(2);
  });
});

describe("GET /v1/scaling: 400", () => {
  it("refuses a most of no workers, and one that is left empty", async () => {
    for (const most of ["0", ""]) {
      expect(await readProblem(await app.get(`/v1/scaling?max_workers=${most}`))).toMatchObject({ status: 400 });
    }
  });

  it("refuses a target that is no time", async () => {
    const problem = await readProblem(await app.get("/v1/scaling?target_seconds=0"));
    expect(problem).toMatchObject({ status: 400, field: "target_seconds" });
  });
});
