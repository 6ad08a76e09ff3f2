import { jobResult } from "../job-fixtures.ts";
import type { TestApp } from "../test-app.ts";
import { type Cases, NONE } from "./case.ts";

const HOOK = "https://example.com/hook";
const JOB = { document: { text: "the sun is up" }, question: "where is the sun", max_tokens: 10 };
const KEY = { "Idempotency-Key": "k" };
const ONE_JOB = { quota: { jobs: 1, tokens: 0 } };

const post = (app: TestApp, body: object = JOB, headers = {}) =>
  app.post("/v1/jobs", body, "application/json", headers);

async function running(app: TestApp): Promise<string> {
  const { id } = await app.submit();
  await app.claim(id);
  return id;
}

async function succeeded(app: TestApp): Promise<string> {
  const { id } = await app.submit();
  await app.state.jobs.settleSucceeded(await app.claim(id), jobResult(id, 1));
  return id;
}

async function failed(app: TestApp): Promise<string> {
  const { id } = await app.submit();
  await app.state.jobs.settleFailed(await app.claim(id), { code: "internal", message: "no" });
  return id;
}

async function unchanged(app: TestApp, path: string): Promise<Response> {
  const etag = (await app.get(path)).headers.get("etag") ?? "";
  return app.get(path, { "If-None-Match": etag });
}

const retry = (app: TestApp, id: string, headers = {}) =>
  app.post(`/v1/jobs/${id}/retry`, "", "application/json", headers);

/** The path of the one event of a job that was cancelled. */
async function eventPath(app: TestApp): Promise<string> {
  const { id } = await app.submit({ webhook: { url: HOOK } });
  await app.post(`/v1/jobs/${id}/cancel`, "");
  const [event] = await app.state.webhooks.list("default", id);
  return `/v1/jobs/${id}/webhooks/${event?.id}`;
}

export const jobCases: Cases = {
  "POST /v1/jobs": {
    200: async (app) => {
      await post(app, JOB, KEY);
      return post(app, JOB, KEY);
    },
    202: (app) => post(app),
    400: (app) => post(app, {}),
    404: (app) => post(app, { ...JOB, document: { id: NONE } }),
    409: async (app) => {
      await app.state.webhooks.disable("default", HOOK, "evt_1");
      return post(app, { ...JOB, webhook: { url: HOOK } });
    },
    422: async (app) => {
      await post(app, JOB, KEY);
      return post(app, { ...JOB, question: "why" }, KEY);
    },
    429: {
      app: ONE_JOB,
      ask: async (app) => {
        await post(app);
        return post(app);
      },
    },
  },
  "POST /v1/jobs/quote": {
    200: (app) => app.post("/v1/jobs/quote", JOB),
    404: (app) => app.post("/v1/jobs/quote", { ...JOB, document: { id: NONE } }),
    409: async (app) => {
      await app.state.webhooks.disable("default", HOOK, "evt_1");
      return app.post("/v1/jobs/quote", { ...JOB, webhook: { url: HOOK } });
    },
  },
  "GET /v1/jobs": {
    200: (app) => app.get("/v1/jobs"),
    304: (app) => unchanged(app, "/v1/jobs"),
    400: (app) => app.get("/v1/jobs?limit=0"),
  },
  "GET /v1/jobs/{id}": {
    200: async (app) => app.get(`/v1/jobs/${await succeeded(app)}`),
    304: async (app) => unchanged(app, `/v1/jobs/${await succeeded(app)}`),
    404: (app) => app.get(`/v1/jobs/${NONE}`),
  },
  "DELETE /v1/jobs/{id}": {
    204: async (app) => app.delete(`/v1/jobs/${await succeeded(app)}`),
    404: (app) => app.delete(`/v1/jobs/${NONE}`),
    409: async (app) => app.delete(`/v1/jobs/${await running(app)}`),
  },
  "GET /v1/jobs/{id}/result": {
    200: async (app) => app.get(`/v1/jobs/${await succeeded(app)}/result`),
    404: (app) => app.get(`/v1/jobs/${NONE}/result`),
    409: async (app) => app.get(`/v1/jobs/${await running(app)}/result`),
  },
  "GET /v1/jobs/{id}/events": {
    200: async (app) => app.get(`/v1/jobs/${await succeeded(app)}/events`),
    204: async (app) => app.get(`/v1/jobs/${await succeeded(app)}/events`, { "Last-Event-ID": "done" }),
    400: async (app) => app.get(`/v1/jobs/${await succeeded(app)}/events`, { "Last-Event-ID": "1".repeat(2_000) }),
    404: (app) => app.get(`/v1/jobs/${NONE}/events`),
  },
  "POST /v1/jobs/{id}/cancel": {
    200: async (app) => app.post(`/v1/jobs/${(await app.submit()).id}/cancel`, ""),
    202: async (app) => app.post(`/v1/jobs/${await running(app)}/cancel`, ""),
    404: (app) => app.post(`/v1/jobs/${NONE}/cancel`, ""),
  },
  "POST /v1/jobs/{id}/retry": {
    200: async (app) => {
      const id = await failed(app);
      await retry(app, id, KEY);
      return retry(app, id, KEY);
    },
    202: async (app) => retry(app, await failed(app)),
    400: async (app) => retry(app, await failed(app), { "Idempotency-Key": "k".repeat(256) }),
    404: (app) => retry(app, NONE),
    409: async (app) => retry(app, await running(app)),
    422: async (app) => {
      await retry(app, await failed(app), KEY);
      return retry(app, await failed(app), KEY);
    },
    429: {
      app: ONE_JOB,
      ask: async (app) => {
        const id = await failed(app);
        // Until the end of the first is seen.
        app.state.advance(60_000);
        await app.submit();
        return retry(app, id);
      },
    },
  },
  "GET /v1/jobs/{id}/webhooks": {
    200: async (app) => app.get((await eventPath(app)).replace(/\/[^/]+$/, "")),
    404: (app) => app.get(`/v1/jobs/${NONE}/webhooks`),
  },
  "POST /v1/jobs/{id}/webhooks/{event}/replay": {
    202: async (app) => app.post(`${await eventPath(app)}/replay`, ""),
    404: async (app) => app.post(`/v1/jobs/${await failed(app)}/webhooks/${NONE}/replay`, ""),
    409: async (app) => {
      const path = await eventPath(app);
      await app.state.webhooks.disable("default", HOOK, "evt_1");
      return app.post(`${path}/replay`, "");
    },
  },
};
