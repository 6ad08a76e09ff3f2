import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestApp, readProblem, type TestApp } from "../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const KEY = "t/default/files/a b+c";
const presign = (method: "GET" | "PUT", seconds = 60) => app.state.objects.presign(KEY, method, seconds);
const put = async (url: string, body: string) => app.app.request(url, { method: "PUT", body });

describe("a presigned URL: 200", () => {
  it("writes and reads the object that it names, and says which version", async () => {
    const written = await put(await presign("PUT"), "<script>");
    expect(written.status).toBe(200);
    const read = await app.get(await presign("GET"));
    expect(await read.text()).toBe("<script>");
    expect(read.headers.get("content-type")).toBe("application/octet-stream");
    expect(read.headers.get("x-content-type-options")).toBe("nosniff");
    expect(read.headers.get("etag")).toBe(written.headers.get("etag"));
  });
});

describe("a presigned URL: 403", () => {
  const refused = { status: 403, code: "url_refused" };

  it("is refused when it has expired", async () => {
    const url = await presign("GET", 10);
    app.state.advance(11_000);
    const problem = await readProblem(await app.get(url));
    expect(problem).toMatchObject(refused);
    expect(problem.detail).toContain("expired");
  });

  it("is refused for another method, another object or a later end", async () => {
    const url = await presign("GET");
    expect(await readProblem(await put(url, "x"))).toMatchObject(refused);
    expect(await readProblem(await app.get(url.replace("files", "jobs")))).toMatchObject(refused);
    expect(await readProblem(await app.get(url.replace(/expires=\d/, "expires=9")))).toMatchObject(refused);
    expect(await readProblem(await app.get(url.replace(/\?.*/, "")))).toMatchObject(refused);
  });
});

describe("a presigned URL: 404", () => {
  it("reads nothing where there is no object", async () => {
    const url = await app.state.objects.presign("t/default/none", "GET", 60);
    expect(await readProblem(await app.get(url))).toMatchObject({ status: 404, code: "not_found" });
  });
});
