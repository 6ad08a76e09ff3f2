import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestApp, type TestApp } from "../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp({ loopback: false });
});
afterAll(() => app[Symbol.asyncDispose]());

test("302: whoever opens the service itself in a browser comes to it", async () => {
  const response = await app.get("/");
  expect([response.status, response.headers.get("location")]).toEqual([302, "/docs"]);
  expect(await response.text()).toContain("/openapi.json");
});

test("200: the page needs no key, and names nothing that is not on this machine", async () => {
  const response = await app.get("/docs");
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toContain("text/html");
  const page = await response.text();
  expect(page).not.toMatch(/https?:|src="\/\//);
  const policy = response.headers.get("content-security-policy");
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self'");
  for (const [, path] of page.matchAll(/(?:src|href)="(\/[^"]+)"/g)) {
    const part = await app.get(path ?? "");
    expect(part.status, path).toBe(200);
    expect((await part.text()).length).toBeGreaterThan(100);
  }
});
