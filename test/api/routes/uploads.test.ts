import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Document, Upload } from "../../../api/contract/document.ts";
import { AppError } from "../../../api/contract/errors.ts";
import { limits } from "../../../api/contract/limits.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const begin = async (media_type = "text/plain", own = app) =>
  readJson(Upload, await own.post("/v1/uploads", { media_type }));
const send = async (upload: Upload, body: string, own = app) => own.app.request(upload.url, { method: "PUT", body });
const complete = async (upload: Upload, own = app) => own.app.request(upload.urls.complete, { method: "POST" });

describe("POST /v1/uploads: 201", () => {
  it("gives a URL that takes the document without a key", async () => {
    const upload = await begin("text/html");
    expect(upload.url).toMatch(/^http:\/\/localhost\/v1\/objects\/u\/default\/up_\d+_[^?]+\/body\?expires=/);
    expect((await send(upload, "<p>sent")).status).toBe(200);
    const completed = await complete(upload);
    expect(completed.status).toBe(201);
    const document = await readJson(Document, completed);
    expect(completed.headers.get("location")).toBe(document.urls.self);
    expect(document).toMatchObject({ media_type: "text/html", bytes: 7, text_bytes: 4 });
  });
});

describe("POST /v1/uploads: 400", () => {
  it("refuses a type that is none", async () => {
    const problem = await readProblem(await app.post("/v1/uploads", { media_type: "application/zip" }));
    expect(problem).toMatchObject({ code: "invalid_request", field: "media_type" });
  });
});

describe("POST /v1/uploads: 415", () => {
  it("takes JSON only", async () => {
    expect((await readProblem(await app.post("/v1/uploads", "x", "text/plain"))).code).toBe("unsupported_media_type");
  });
});

describe("POST /v1/uploads/{id}/complete: 200", () => {
  it("finds what the tenant had sent before, and leaves nothing of the upload", async () => {
    const sent = await readJson(Document, await app.post("/v1/documents", "known", "text/plain"));
    const upload = await begin();
    await send(upload, "known");
    const completed = await complete(upload);
    expect(completed.status).toBe(200);
    expect((await readJson(Document, completed)).id).toBe(sent.id);
    expect((await app.state.objects.list(`u/default/${upload.id}`)).length).toBe(0);
  });
});

it("makes a document of what came, whatever is put in its place while it is made", async () => {
  const upload = await begin();
  await send(upload, "what was sent");
  const { store } = app.state.documents;
  vi.spyOn(app.state.documents, "store").mockImplementationOnce(async (...staged) => {
    await send(upload, "something else");
    return store(...staged);
  });
  const { urls } = await readJson(Document, await complete(upload));
  expect(await (await app.get(urls.text)).text()).toBe("what was sent");
});

it("can be completed again, where the service could not finish it", async () => {
  const upload = await begin();
  await send(upload, "to be kept");
  const { copy } = app.state.objects;
  vi.spyOn(app.state.objects, "copy").mockImplementation(async (from, to) => {
    if (to.startsWith("t/")) throw new AppError("unavailable", "the store is away");
    return copy(from, to);
  });
  expect((await complete(upload)).status).toBe(503);
  vi.restoreAllMocks();
  expect((await complete(upload)).status).toBe(201);
  expect(await app.state.objects.list("u/")).toEqual([]);
});

describe("POST /v1/uploads/{id}/complete: 400", () => {
  it.each([
    ["nothing", ""],
    ["text that is not UTF-8", "\xfc"],
  ])("refuses %s", async (_, body) => {
    const upload = await begin();
    await app.app.request(upload.url, { method: "PUT", body: Buffer.from(body, "latin1") });
    expect(await readProblem(await complete(upload))).toMatchObject({ code: "invalid_request", field: "body" });
  });
});

describe("POST /v1/uploads/{id}/complete: 404", () => {
  it("knows no such upload, nor one twice, nor another tenant's", async () => {
    const upload = await begin();
    await send(upload, "once");
    await complete(upload);
    expect(await readProblem(await complete(upload))).toMatchObject({ code: "upload_not_found" });
    await using own = await openTestApp({ loopback: false });
    const { headers } = await own.makeKey("acme", ["submit"]);
    const theirs = await readJson(
      Upload,
      await own.post("/v1/uploads", { media_type: "text/plain" }, "application/json", headers),
    );
    const other = await own.makeKey("other", ["submit"]);
    const stolen = await own.app.request(theirs.urls.complete, { method: "POST", headers: other.headers });
    expect(stolen.status).toBe(404);
  });
});

describe("POST /v1/uploads/{id}/complete: 409", () => {
  it("asks for the bytes first", async () => {
    expect(await readProblem(await complete(await begin()))).toMatchObject({ code: "upload_incomplete" });
  });
});

describe("POST /v1/uploads/{id}/complete: 413", () => {
  it("is for what came past the limit another way", async () => {
    await using own = await openTestApp({ maxDocumentBytes: 3 });
    const upload = await begin("text/plain", own);
    expect(await readProblem(await send(upload, "four", own))).toMatchObject({ status: 413, limit_bytes: 3 });
    await own.state.objects.put(`u/default/${upload.id}/body`, Buffer.from("four"));
    expect(await readProblem(await complete(upload, own))).toMatchObject({ code: "payload_too_large" });
  });
});

describe("POST /v1/uploads/{id}/complete: 422", () => {
  it("says why it cannot be turned to text", async () => {
    const upload = await begin("application/pdf");
    await send(upload, "no pdf");
    expect(await readProblem(await complete(upload))).toMatchObject({ code: "document_unreadable" });
  });
});

describe("uploads that were never finished", () => {
  it("go after a day, with what came of them", async () => {
    await using own = await openTestApp();
    await send(await begin("text/plain", own), "old", own);
    own.state.advance(limits.uploadMs + 1);
    const young = await begin("text/plain", own);
    expect(await own.uploads.sweep()).toBe(2);
    expect((await own.state.objects.list("u/")).map(({ key }) => key)).toEqual([`u/default/${young.id}/upload.json`]);
  });
});
