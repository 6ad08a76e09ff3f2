import { AppError } from "../../../api/contract/errors.ts";
import { limits } from "../../../api/contract/limits.ts";
import { WebhookKeys } from "../../../api/contract/webhook.ts";
import { jobResult } from "../job-fixtures.ts";
import { readJson, type TestApp } from "../test-app.ts";
import { type Ask, type Cases, NONE } from "./case.ts";

const CHAT = {
  model: "words",
  messages: [{ role: "user", content: "where is the sun" }],
  max_completion_tokens: 10,
};
const chat = (app: TestApp, body: object = CHAT) => app.post("/v1/chat/completions", body);

/** Answers a chat by what `end` makes of its job. */
const chatEnded =
  (end: (app: TestApp, id: string) => Promise<unknown>): Ask =>
  async (app) => {
    const response = chat(app);
    for (let id: string | undefined; id === undefined; ) {
      const [message] = await app.state.queue.receive({ max: 1, waitMs: 1_000, visibilityMs: 60_000 });
      id = message && JSON.parse(message.body).job;
      if (id !== undefined) await end(app, id);
    }
    return response;
  };

const asAdmin =
  (ask: (app: TestApp, key: Awaited<ReturnType<TestApp["makeKey"]>>) => Promise<Response>): Ask =>
  async (app) =>
    ask(app, await app.makeKey("acme", ["admin"]));

const makeKey = (app: TestApp, body: object, headers: Record<string, string>) =>
  app.post("/v1/keys", body, "application/json", headers);

const revoke = async (app: TestApp, id: string, headers: Record<string, string>) =>
  app.app.request(`/v1/keys/${id}`, { method: "DELETE", headers });

export const serviceCases: Cases = {
  "POST /v1/chat/completions": {
    200: chatEnded(async (app, id) => app.state.jobs.settleSucceeded(await app.claim(id), jobResult(id, 1))),
    404: (app) => chat(app, { ...CHAT, model: NONE }),
    409: chatEnded((app, id) => app.state.jobs.cancel("default", id)),
    429: {
      app: { quota: { jobs: 1, tokens: 0 } },
      ask: async (app) => {
        await app.submit();
        return chat(app);
      },
    },
    504: { app: { waitMs: 10 }, ask: (app) => chat(app) },
  },
  "GET /v1/webhooks/keys": { 200: (app) => app.get("/v1/webhooks/keys") },
  "POST /v1/webhooks/keys/rotate": {
    200: (app) => app.post("/v1/webhooks/keys/rotate", {}),
    409: async (app) => {
      for (let made = 1; made < limits.maxSigningKeys; made++) {
        await readJson(WebhookKeys, await app.post("/v1/webhooks/keys/rotate", {}));
      }
      return app.post("/v1/webhooks/keys/rotate", {});
    },
  },
  "GET /v1/webhooks/disabled": {
    200: async (app) => {
      await app.state.webhooks.disable("default", "https://example.com/hook", "evt_1");
      return app.get("/v1/webhooks/disabled");
    },
    400: (app) => app.get("/v1/webhooks/disabled?limit=0"),
  },
  "DELETE /v1/webhooks/disabled/{id}": { 204: (app) => app.delete(`/v1/webhooks/disabled/${NONE}`) },
  "POST /v1/keys": {
    201: asAdmin((app, { headers }) => makeKey(app, { scopes: ["read"] }, headers)),
    400: asAdmin((app, { headers }) => makeKey(app, { scopes: [] }, headers)),
    413: asAdmin((app, { headers }) => makeKey(app, { name: "n".repeat(limits.requestBodyBytes) }, headers)),
    415: asAdmin((app, { headers }) => app.post("/v1/keys", "<a/>", "text/xml", headers)),
  },
  "GET /v1/keys": { 200: asAdmin((app, { headers }) => app.get("/v1/keys", headers)) },
  "DELETE /v1/keys/{id}": {
    200: asAdmin(async (app, { headers }) => revoke(app, (await app.makeKey("acme", ["read"])).id, headers)),
    404: asAdmin((app, { headers }) => revoke(app, NONE, headers)),
    409: asAdmin((app, { id, headers }) => revoke(app, id, headers)),
  },
  "GET /v1/models": { 200: (app) => app.get("/v1/models") },
  "GET /v1/models/{id}": {
    200: (app) => app.get("/v1/models/words"),
    404: (app) => app.get(`/v1/models/${NONE}`),
  },
  "GET /v1/scaling": {
    200: (app) => app.get("/v1/scaling"),
    400: (app) => app.get("/v1/scaling?target_seconds=0"),
  },
  "GET /healthz": { 200: (app) => app.get("/healthz") },
  "GET /readyz": {
    200: (app) => app.get("/readyz"),
    500: { app: { checkReady: async () => Promise.reject(new Error("a bug")) }, ask: (app) => app.get("/readyz") },
    503: {
      app: { checkReady: async () => Promise.reject(new AppError("unavailable", "stopping")) },
      ask: (app) => app.get("/readyz"),
    },
  },
  "GET /problems/{code}": {
    200: (app) => app.get("/problems/job_not_found"),
    404: (app) => app.get(`/problems/${NONE}`),
  },
};
