import { Document, Upload } from "../../../api/contract/document.ts";
import { readJson, type TestApp } from "../test-app.ts";
import { type Cases, NONE } from "./case.ts";

const send = (app: TestApp, text = "the sun is up", type = "text/plain") => app.post("/v1/documents", text, type);

const stored = async (app: TestApp): Promise<string> =>
  `/v1/documents/${(await readJson(Document, await send(app))).id}`;

/** An upload that was sent this body, or nothing yet. */
async function complete(app: TestApp, body: string | null, media_type = "text/plain"): Promise<Response> {
  const upload = await readJson(Upload, await app.post("/v1/uploads", { media_type }));
  if (body !== null) await app.app.request(upload.url, { method: "PUT", body });
  return app.post(upload.urls.complete, "");
}

export const documentCases: Cases = {
  "POST /v1/documents": {
    200: async (app) => {
      await send(app);
      return send(app);
    },
    201: (app) => send(app),
    422: (app) => send(app, "no PDF", "application/pdf"),
  },
  "GET /v1/documents": {
    200: async (app) => {
      await stored(app);
      return app.get("/v1/documents");
    },
    400: (app) => app.get("/v1/documents?after=x"),
  },
  "GET /v1/documents/{id}": {
    200: async (app) => app.get(await stored(app)),
    404: (app) => app.get(`/v1/documents/${NONE}`),
  },
  "DELETE /v1/documents/{id}": {
    204: async (app) => app.delete(await stored(app)),
    404: (app) => app.delete(`/v1/documents/${NONE}`),
  },
  "GET /v1/documents/{id}/text": {
    200: async (app) => app.get(`${await stored(app)}/text`),
    404: (app) => app.get(`/v1/documents/${NONE}/text`),
  },
  "GET /v1/documents/{id}/download": {
    200: async (app) => app.get(`${await stored(app)}/download`),
    400: async (app) => app.get(`${await stored(app)}/download?of=cover`),
    404: (app) => app.get(`/v1/documents/${NONE}/download`),
  },
  "POST /v1/uploads": {
    201: (app) => app.post("/v1/uploads", { media_type: "text/plain" }),
  },
  "POST /v1/uploads/{id}/complete": {
    200: async (app) => {
      await send(app, "known");
      return complete(app, "known");
    },
    201: (app) => complete(app, "the sun is up"),
    400: (app) => complete(app, ""),
    404: (app) => app.post(`/v1/uploads/${NONE}/complete`, ""),
    409: (app) => complete(app, null),
    413: {
      app: { maxDocumentBytes: 10 },
      ask: async (app) => {
        const upload = await readJson(Upload, await app.post("/v1/uploads", { media_type: "text/plain" }));
        // As a store would take it that knows nothing of our limit.
        await app.state.objects.put(`u/default/${upload.id}/body`, Buffer.from("eleven bytes"));
        return app.post(upload.urls.complete, "");
      },
    },
    422: (app) => complete(app, "no PDF", "application/pdf"),
  },
};
