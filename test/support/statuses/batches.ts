import { CreateBatch } from "../../../api/contract/batch-resource.ts";
import { keys } from "../../../api/contract/keys.ts";
import { parseIdempotencyKey } from "../../../api/routes/jobs/idempotency-key.ts";
import { encode } from "../../../api/state/record.ts";
import { chatLines, createBatch, uploadLines } from "../batch-fixtures.ts";
import type { TestApp } from "../test-app.ts";
import { type Cases, NONE } from "./case.ts";

const HOOK = "https://example.com/hook";
const KEY = '"the key"';

const body = (input_file_id: string, changes: object = {}) => ({
  input_file_id,
  endpoint: "/v1/chat/completions",
  completion_window: "24h",
  ...changes,
});

const post = (app: TestApp, asked: object, key?: string) =>
  app.post("/v1/batches", asked, "application/json", key === undefined ? {} : { "Idempotency-Key": key });

const uploaded = async (app: TestApp): Promise<string> => (await uploadLines(app, chatLines(1))).id;

const made = async (app: TestApp): Promise<string> => `/v1/batches/${(await createBatch(app, chatLines(1))).id}`;

/** A batch of which no line was valid. */
async function over(app: TestApp): Promise<string> {
  const { id } = await createBatch(app, chatLines(1));
  const [part] = await app.state.batches.parts.listOpen({ tenant: "default", id });
  await app.state.jobs.failAbandoned("default", part?.job ?? "", { code: "internal", message: "It broke." });
  return `/v1/batches/${id}`;
}

/** The path of the one event of a batch that was cancelled. */
async function told(app: TestApp): Promise<string> {
  const { id } = await createBatch(app, chatLines(1), { webhook: { url: HOOK } });
  await app.post(`/v1/batches/${id}/cancel`, "");
  const [event] = await app.state.webhooks.list("default", id);
  return `/v1/batches/${id}/webhooks/${event?.id}`;
}

export const batchCases: Cases = {
  "POST /v1/batches": {
    200: async (app) => post(app, body(await uploaded(app))),
    404: (app) => post(app, body(`file-${NONE}`)),
    409: async (app) => {
      const asked = CreateBatch.parse(body(await uploaded(app)));
      const { hash, fingerprint } = parseIdempotencyKey(KEY, asked);
      // Another request with the key has come so far, and no further yet.
      const record = { job: "job_1", fingerprint, created_ms: app.state.now() };
      await app.state.objects.put(keys.idempotency("default", hash ?? ""), encode(record));
      return post(app, asked, KEY);
    },
    422: async (app) => {
      const file = await uploaded(app);
      await post(app, body(file), KEY);
      return post(app, body(file, { metadata: { another: "one" } }), KEY);
    },
    429: {
      app: { quota: { jobs: 1, tokens: 0 } },
      ask: async (app) => {
        await post(app, body(await uploaded(app)));
        return post(app, body(await uploaded(app)));
      },
    },
  },
  "GET /v1/batches": {
    200: async (app) => {
      await made(app);
      return app.get("/v1/batches");
    },
    400: (app) => app.get("/v1/batches?limit=0"),
    404: (app) => app.get(`/v1/batches?after=${NONE}`),
  },
  "GET /v1/batches/{id}": {
    200: async (app) => app.get(await made(app)),
    404: (app) => app.get(`/v1/batches/${NONE}`),
  },
  "POST /v1/batches/{id}/cancel": {
    200: async (app) => app.post(`${await made(app)}/cancel`, ""),
    404: (app) => app.post(`/v1/batches/${NONE}/cancel`, ""),
    409: async (app) => app.post(`${await over(app)}/cancel`, ""),
  },
  "GET /v1/batches/{id}/results": {
    200: async (app) => app.get(`${await made(app)}/results`),
    400: async (app) => app.get(`${await made(app)}/results?after=what`),
    404: (app) => app.get(`/v1/batches/${NONE}/results`),
  },
  "GET /v1/batches/{id}/webhooks": {
    200: async (app) => app.get(`${await over(app)}/webhooks`),
    404: (app) => app.get(`/v1/batches/${NONE}/webhooks`),
  },
  "POST /v1/batches/{id}/webhooks/{event}/replay": {
    202: async (app) => app.post(`${await told(app)}/replay`, ""),
    404: async (app) => app.post(`${await over(app)}/webhooks/${NONE}/replay`, ""),
    409: async (app) => {
      const event = await told(app);
      await app.state.webhooks.disable("default", HOOK, "evt_1");
      return app.post(`${event}/replay`, "");
    },
  },
};
