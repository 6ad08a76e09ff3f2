import { File as FileResource } from "../../../api/contract/file.ts";
import { readJson, type TestApp } from "../test-app.ts";
import { type Cases, NONE } from "./case.ts";

async function upload(app: TestApp, purpose = "batch"): Promise<Response> {
  const form = new FormData();
  form.append("file", new Blob(['{"custom_id":"a"}\n']), "in.jsonl");
  form.append("purpose", purpose);
  return app.app.request("/v1/files", { method: "POST", body: form });
}

const stored = async (app: TestApp): Promise<string> =>
  `/v1/files/${(await readJson(FileResource, await upload(app))).id}`;

export const fileCases: Cases = {
  "POST /v1/files": {
    200: (app) => upload(app),
    400: (app) => upload(app, "assistants"),
  },
  "GET /v1/files": {
    200: async (app) => {
      await stored(app);
      return app.get("/v1/files");
    },
    400: (app) => app.get("/v1/files?limit=0"),
    404: (app) => app.get(`/v1/files?after=${NONE}`),
  },
  "GET /v1/files/{id}": {
    200: async (app) => app.get(await stored(app)),
    404: (app) => app.get(`/v1/files/${NONE}`),
  },
  "DELETE /v1/files/{id}": {
    200: async (app) => app.delete(await stored(app)),
    404: (app) => app.delete(`/v1/files/${NONE}`),
  },
  "GET /v1/files/{id}/content": {
    200: async (app) => app.get(`${await stored(app)}/content`),
    404: (app) => app.get(`/v1/files/${NONE}/content`),
  },
};
