import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { JobResult } from "../../../../api/contract/job-result.ts";
import { jobResult } from "../../../support/job-fixtures.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

async function succeeded(answers: number) {
  const { id } = await app.submit();
  const result = jobResult(id, 1, "up *there*");
  const [answer] = result.answers;
  result.answers = Array.from({ length: answers }, (_, i) => ({ ...answer!, question: `what\n is ${i}` }));
  await app.state.jobs.settleSucceeded(await app.claim(id), result);
  return (accept: string) => app.get(`/v1/jobs/${id}/result`, { Accept: accept });
}

describe("GET /v1/jobs/{id}/result: 200", () => {
  it.each(["text/plain", "text/markdown"])("is the one answer itself as %s", async (type) => {
    const response = await (await succeeded(1))(type);
    expect(response.headers.get("content-type")).toBe(`${type}; charset=UTF-8`);
    expect(response.headers.get("vary")).toBe("Accept");
    expect(await response.text()).toBe("up *there*");
  });

  it("has each of several answers below its question", async () => {
    const get = await succeeded(2);
    expect(await (await get("text/markdown")).text()).toBe(
      "## what is 0\n\nup *there*\n\n## what is 1\n\nup *there*\n",
    );
    expect(await (await get("text/plain")).text()).toContain("what\n is 1\n\nup *there*\n");
  });

  it.each(["*/*", "application/json", "image/png", "text/plain;q=0.1, application/json"])(
    "is JSON for %s",
    async (accept) => {
      expect((await readJson(JobResult, await (await succeeded(1))(accept))).answers).toHaveLength(1);
    },
  );

  it.each(["cancelled", "expired"] as const)("keeps what there was of a job that is %s", async (status) => {
    const { id } = await app.submit();
    const partial = jobResult(id, 1, "half an ans");
    await app.state.jobs.settleStopped(await app.claim(id), status, partial);
    expect((await readJson(JobResult, await app.get(`/v1/jobs/${id}/result`))).answers[0]?.answer).toBe("half an ans");
    expect(await app.state.jobs.get("default", id)).toMatchObject({ status, usage: { completion_tokens: 3 } });
  });
});

describe("GET /v1/jobs/{id}/result: 409", () => {
  it("never comes for a job that was cancelled before it began", async () => {
    const { id } = await app.submit();
    await app.post(`/v1/jobs/${id}/cancel`, "");
    const problem = await readProblem(await app.get(`/v1/jobs/${id}/result`));
    expect(problem).toMatchObject({ code: "job_not_succeeded", job_status: "cancelled" });
  });

  it("is not the whole answer of a worker that died before it could say so, where nobody is charged for it", async () => {
    const { id } = await app.submit();
    await app.state.objects.put(`t/default/j/${id}/result.json`, Buffer.from(JSON.stringify(jobResult(id, 1))));
    await app.post(`/v1/jobs/${id}/cancel`, "");
    expect(await readProblem(await app.get(`/v1/jobs/${id}/result`))).toMatchObject({ code: "job_not_succeeded" });
    expect(await app.state.jobs.get("default", id)).toMatchObject({ usage: { total_tokens: 0 } });
  });

  it("is not the answer that a failed attempt left behind", async () => {
    const { id } = await app.submit();
    const claim = await app.claim(id);
    await app.state.objects.put(`t/default/j/${id}/result.json`, Buffer.from(JSON.stringify(jobResult(id, 1))));
    await app.state.jobs.settleFailed(claim, { code: "internal", message: "An internal error." });
    expect(await readProblem(await app.get(`/v1/jobs/${id}/result`))).toMatchObject({ code: "job_not_succeeded" });
  });
});
