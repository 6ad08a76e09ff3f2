import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { AppError } from "../../api/contract/errors.ts";
import { limits } from "../../api/contract/limits.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const Operation = z.looseObject({ responses: z.record(z.string(), z.unknown()), requestBody: z.unknown().optional() });
const OpenApi = z.looseObject({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.string(), Operation)),
  components: z.unknown(),
});

describe("200", () => {
  it("is alive and ready", async () => {
    for (const path of ["/healthz", "/readyz"]) {
      const response = await app.get(path);
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ status: "ok" });
    }
  });

  it("lists the model it serves with its limit", async () => {
    const list = await (await app.get("/v1/models")).json();
    expect(list).toEqual({
      object: "list",
      data: [{ object: "model", id: "words", context_tokens: 100, created: 1_700_000_000, owned_by: "gnomon" }],
    });
  });

  it("describes its routes in OpenAPI 3.1, problems included", async () => {
    const document = await readJson(OpenApi, await app.get("/openapi.json"));
    expect(document.openapi).toBe("3.1.0");
    const post = document.paths["/v1/jobs"]?.post;
    const statuses = ["200", "202", "400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "503", "507"];
    expect(Object.keys(post?.responses ?? {})).toEqual(statuses);
    expect(post?.responses["400"]).toHaveProperty(["content", "application/problem+json"]);
    expect(post?.requestBody).toMatchObject({ required: true });
    expect(document.components).toHaveProperty("schemas.CreateJob.additionalProperties", false);
  });

  it("gives an example of each body that must not have all its fields at once, and takes it", async () => {
    const { paths } = await readJson(OpenApi, await app.get("/openapi.json"));
    for (const path of ["/v1/jobs", "/v1/jobs/quote"]) {
      const Body = z.object({ content: z.object({ "application/json": z.object({ example: z.looseObject({}) }) }) });
      const { example } = Body.parse(paths[path]?.post?.requestBody).content["application/json"];
      expect((await app.post(path, example)).status).toBeLessThan(300);
    }
  });

  it("explains what the type of a problem points to", async () => {
    const { type } = await readProblem(await app.get("/nowhere"));
    expect(await (await app.get(type)).json()).toMatchObject({ code: "not_found", status: 404, retryable: false });
  });
});

describe("404", () => {
  it("says where to look", async () => {
    const problem = await readProblem(await app.get("/v2/jobs"));
    expect(problem).toMatchObject({ status: 404, code: "not_found" });
    expect(problem.detail).toContain("/openapi.json");
  });

  it("names each occurrence as the log does", async () => {
    const response = await app.get("/nowhere");
    const id = response.headers.get("x-request-id");
    expect((await readProblem(response)).instance).toBe(`urn:uuid:${id}`);
    expect(app.logged.map(({ fields }) => fields)).toContainEqual(
      expect.objectContaining({ request_id: id, method: "GET", path: "/nowhere", status: 404 }),
    );
  });

  it("does not know an error code that is none", async () => {
    expect(await readProblem(await app.get("/problems/toString"))).toMatchObject({ code: "not_found" });
  });
});

describe("405", () => {
  it.each([
    ["PUT", "/v1/jobs/some", "GET, DELETE, HEAD"],
    ["PUT", "/v1/jobs", "GET, POST, HEAD"],
    ["PUT", "/healthz", "GET, HEAD"],
    ["PUT", "/v1/jobs/quote", "POST"],
  ])("%s %s says what is allowed", async (method, path, allowed) => {
    const response = await app.app.request(path, { method });
    expect(response.headers.get("allow")).toBe(allowed);
    expect(await readProblem(response)).toMatchObject({ status: 405, code: "method_not_allowed" });
  });
});

describe("413", () => {
  const expected = { status: 413, code: "payload_too_large", limit_bytes: limits.requestBodyBytes };

  it("refuses a body that says it is too large", async () => {
    const text = "x".repeat(limits.requestBodyBytes + 1);
    const headers = { "Content-Type": "application/json", "Content-Length": String(text.length) };
    const response = await app.app.request("/v1/jobs", { method: "POST", headers, body: text });
    const problem = await readProblem(response);
    expect(problem).toMatchObject(expected);
    expect(problem.detail).toContain("16,777,216 bytes");
  });

  it("stops reading a body of unknown length at the limit", async () => {
    const chunk = new Uint8Array(1024 * 1024).fill(0x20);
    let pulled = 0;
    const endless = new ReadableStream({
      pull(controller) {
        pulled += 1;
        controller.enqueue(chunk);
      },
    });
    const headers = { "Content-Type": "application/json", "Transfer-Encoding": "chunked" };
    const request = new Request("http://localhost/v1/jobs", { method: "POST", headers, body: endless, duplex: "half" });
    expect(await readProblem(await app.app.request(request))).toMatchObject(expected);
    expect(pulled).toBeLessThan(20);
  });
});

describe("500", () => {
  it("logs what happened and tells the client nothing of it", async () => {
    await using own = await openTestApp();
    own.state.jobs.get = () => Promise.reject(new Error("password hunter2"));
    const problem = await readProblem(await own.get("/v1/jobs/some"));
    expect(problem).toMatchObject({ status: 500, code: "internal" });
    expect(JSON.stringify(problem)).not.toContain("hunter2");
    expect(own.logged.map(({ fields }) => fields)).toContainEqual(
      expect.objectContaining({ code: "internal", err: expect.objectContaining({ message: "password hunter2" }) }),
    );
  });
});

describe("503", () => {
  it("is not ready while the state is out of reach", async () => {
    const unavailable = new AppError("unavailable", "bucket is gone", { detail: "The object store does not answer." });
    await using own = await openTestApp({ checkReady: () => Promise.reject(unavailable) });
    const problem = await readProblem(await own.get("/readyz"));
    expect(problem).toMatchObject({ status: 503, detail: "The object store does not answer." });
    expect((await own.get("/healthz")).status).toBe(200);
  });
});

describe("the log", () => {
  it("holds nothing of documents and questions", async () => {
    await using own = await openTestApp();
    const secret = { document: { text: "alpha secret" }, question: "beta secret" };
    expect((await own.post("/v1/jobs", { ...secret, max_tokens: 5 })).status).toBe(202);
    expect((await own.post("/v1/jobs", { ...secret, max_tokens: 5000 })).status).toBe(400);
    expect(own.logged.length).toBe(2);
    expect(JSON.stringify(own.logged)).not.toContain("secret");
  });
});
