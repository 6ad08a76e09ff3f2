import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Job } from "../../../../api/contract/job-resource.ts";
import { jobResult } from "../../../support/job-fixtures.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const cancel = (id: string) => app.post(`/v1/jobs/${id}/cancel`, "");
const retry = (id: string, headers: Record<string, string> = {}) =>
  app.post(`/v1/jobs/${id}/retry`, "", "application/json", headers);

async function fail(): Promise<string> {
  const { id } = await app.submit({ metadata: { a: "b" } });
  await app.state.jobs.settleFailed(await app.claim(id), { code: "internal", message: "An internal error." });
  return id;
}

async function succeed(): Promise<string> {
  const { id } = await app.submit();
  await app.state.jobs.settleSucceeded(await app.claim(id), jobResult(id, 1));
  return id;
}

describe("POST /v1/jobs/{id}/cancel", () => {
  it("200: ends a queued job at once; its message then does nothing", async () => {
    const { id } = await app.submit();
    const response = await cancel(id);
    expect(response.status).toBe(200);
    expect(await readJson(Job, response)).toMatchObject({ status: "cancelled", cancel_requested: true });
    expect((await app.state.jobs.claim("default", id, "w")).kind).toBe("terminal");
  });

  it("202: asks the worker of a running job, which learns of it at its next heartbeat", async () => {
    const { id } = await app.submit();
    const claim = await app.claim(id);
    const response = await cancel(id);
    expect(response.status).toBe(202);
    expect(await readJson(Job, response)).toMatchObject({ status: "running", cancel_requested: true });
    const renewed = await app.state.jobs.renew(claim);
    expect(renewed?.state.cancel_requested_ms).not.toBeNull();
    expect(await app.state.jobs.release(claim)).toMatchObject({ status: "cancelled" });
  });

  it("200: ends a running job whose worker is gone", async () => {
    await using own = await openTestApp();
    const { id } = await own.submit();
    await own.claim(id);
    own.state.advance(3_600_000);
    expect((await own.post(`/v1/jobs/${id}/cancel`, "")).status).toBe(200);
  });

  it("200: leaves a job that is over as it is, however often it is asked", async () => {
    const id = await succeed();
    expect(await readJson(Job, await cancel(id))).toMatchObject({ status: "succeeded", cancel_requested: false });
    const { id: other } = await app.submit();
    const first = await readJson(Job, await cancel(other));
    expect(await readJson(Job, await cancel(other))).toEqual(first);
  });

  it("404: does not know every job", async () => {
    expect(await readProblem(await cancel("job_none"))).toMatchObject({ code: "job_not_found" });
  });
});

describe("POST /v1/jobs/{id}/retry", () => {
  it("202: submits the same request as a new job", async () => {
    const id = await fail();
    const response = await retry(id);
    const job = await readJson(Job, response);
    expect(response.status).toBe(202);
    expect(job).toMatchObject({ status: "queued", attempt: 0, retry_of: id, metadata: { a: "b" } });
    expect(await app.state.jobs.getRequest("default", job.id)).toMatchObject({ max_tokens: 10, retry_of: id });
    expect(await app.state.jobs.get("default", id)).toMatchObject({ status: "failed" });
    expect((await app.claim(job.id)).state.attempt).toBe(1);
  });

  it("200: makes one new job of one key", async () => {
    const id = await fail();
    const key = { "Idempotency-Key": "again" };
    const { id: first } = await readJson(Job, await retry(id, key));
    const response = await retry(id, key);
    expect(response.status).toBe(200);
    expect((await readJson(Job, response)).id).toBe(first);
  });

  it("409: not of a job that still runs, nor of one that succeeded", async () => {
    expect(await readProblem(await retry((await app.submit()).id))).toMatchObject({ code: "job_not_finished" });
    expect(await readProblem(await retry(await succeed()))).toMatchObject({ code: "job_not_retryable" });
  });

  it("404: does not know every job", async () => {
    expect((await retry("job_none")).status).toBe(404);
  });
});

describe("DELETE /v1/jobs/{id}", () => {
  it("204: leaves no object of the job", async () => {
    await using own = await openTestApp();
    const post = await own.post("/v1/jobs", { prompt: "a b", max_tokens: 10 }, "application/json", {
      "Idempotency-Key": "k",
    });
    const { id } = await readJson(Job, post);
    await own.state.jobs.settleSucceeded(await own.claim(id), jobResult(id, 1));
    for (let i = 0; i < 230; i++) await own.state.objects.put(`t/default/j/${id}/events/${i}`, Buffer.from("e"));
    expect((await own.delete(`/v1/jobs/${id}`)).status).toBe(204);
    expect(await own.state.objects.list("")).toEqual([]);
    expect((await own.get(`/v1/jobs/${id}`)).status).toBe(404);
    expect((await own.delete(`/v1/jobs/${id}`)).status).toBe(404);
  });

  it("409: not of a job that is not over", async () => {
    const { id } = await app.submit();
    expect(await readProblem(await app.delete(`/v1/jobs/${id}`))).toMatchObject({ code: "job_not_finished" });
    await app.claim(id);
    const { detail } = await readProblem(await app.delete(`/v1/jobs/${id}`));
    expect(detail).toContain(`POST /v1/jobs/${id}/cancel`);
    expect((await app.get(`/v1/jobs/${id}`)).status).toBe(200);
  });
});
