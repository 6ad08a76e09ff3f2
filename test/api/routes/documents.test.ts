import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Document } from "../../../api/contract/document.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

describe("POST /v1/documents: 201", () => {
  it.each([
    ["JSON", { text: "Grüße" }, "application/json"],
    ["JSON with a charset", { text: "Grüße" }, "application/json; charset=utf-8"],
    ["plain text", "Grüße", "text/plain"],
    ["plain text with a charset", "Grüße", "Text/Plain; charset=utf-8"],
  ])("stores %s, counted in bytes of UTF-8", async (_, body, type) => {
    const response = await app.post("/v1/documents", body, type);
    const document = await readJson(Document, response);
    expect(response.status).toBe(201);
    expect(response.headers.get("location")).toBe(`/v1/documents/${document.id}`);
    expect(document).toMatchObject({ object: "document", bytes: 7 });
    expect(await app.state.documents.getDocumentText("default", document.id)).toBe("Grüße");
  });

  it("gives the same text the same id", async () => {
    const [one, two] = [
      await app.post("/v1/documents", { text: "same" }),
      await app.post("/v1/documents", "same", "text/plain"),
    ];
    expect((await readJson(Document, one)).id).toBe((await readJson(Document, two)).id);
  });

  it("keeps plain text that looks like JSON as it is", async () => {
    const { id } = await readJson(Document, await app.post("/v1/documents", '{"text": "inner"}', "text/plain"));
    expect(await app.state.documents.getDocumentText("default", id)).toBe('{"text": "inner"}');
  });
});

describe("POST /v1/documents: 400", () => {
  it.each([
    ["an empty text", { text: "" }, "application/json", "text"],
    ["no text", {}, "application/json", "text"],
    ["empty plain text", "", "text/plain", "body"],
  ])("refuses %s", async (_, body, type, field) => {
    const problem = await readProblem(await app.post("/v1/documents", body, type));
    expect(problem).toMatchObject({ status: 400, code: "invalid_request", field });
  });

  it("refuses plain text that is not UTF-8", async () => {
    const response = await app.app.request("/v1/documents", {
      method: "POST",
      headers: { "Content-Type": "text/plain" },
      body: Uint8Array.of(0x47, 0x72, 0xfc),
    });
    const problem = await readProblem(response);
    expect(problem).toMatchObject({ status: 400, code: "invalid_request", field: "body" });
    expect(problem.detail).toContain("not UTF-8");
  });
});

describe("POST /v1/documents: 415", () => {
  it("names both types that it takes", async () => {
    const problem = await readProblem(await app.post("/v1/documents", "<p>", "text/html"));
    expect(problem.detail).toBe("The content type is `text/html`: send application/json or text/plain.");
  });
});

describe("GET /v1/documents/{id}: 200", () => {
  it("describes the document that was sent", async () => {
    const sent = await readJson(Document, await app.post("/v1/documents", { text: "a text" }));
    const response = await app.get(`/v1/documents/${sent.id}`);
    expect(response.status).toBe(200);
    expect(await readJson(Document, response)).toEqual(sent);
  });
});

describe("GET /v1/documents/{id}: 404", () => {
  it.each(["doc_none", "..%2Fj"])("does not know %s", async (id) => {
    const problem = await readProblem(await app.get(`/v1/documents/${id}`));
    expect(problem).toMatchObject({ status: 404, code: "document_not_found" });
  });
});
