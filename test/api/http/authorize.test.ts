import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { limits } from "../../../api/contract/limits.ts";
import { neededScope } from "../../../api/http/authorize.ts";
import { openTestApp, readProblem, type TestApp } from "../../support/test-app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp({ loopback: false });
});
afterAll(() => app[Symbol.asyncDispose]());

const read = (headers: Record<string, string>) => app.get("/v1/models", headers);
const submit = (headers: Record<string, string>) =>
  app.post("/v1/uploads", { media_type: "text/plain" }, "application/json", headers);
const bearer = (key: string) => ({ Authorization: `Bearer ${key}` });

describe("401", () => {
  it("asks for a key and says how to send one", async () => {
    const response = await read({});
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
    const problem = await readProblem(response);
    expect(problem).toMatchObject({ status: 401, code: "api_key_missing" });
    expect(problem.detail).toContain("Authorization: Bearer");
  });

  it("refuses what is no key, an unknown key and a wrong secret alike, and repeats none of it", async () => {
    const { key } = await app.makeKey("acme", ["read"]);
    const wrong = `${key.slice(0, -1)}${key.endsWith("A") ? "B" : "A"}`;
    const unknown = key.replace(/_[0-9a-f]{16}_/, "_0000000000000000_");
    const moved = key.replace("_acme_", "_other_");
    for (const sent of ["sk-none", wrong, unknown, moved, `${key}x`]) {
      const problem = await readProblem(await read(bearer(sent)));
      expect(problem).toMatchObject({ status: 401, code: "api_key_invalid" });
      expect(problem.detail).not.toContain(sent);
    }
    expect((await read({ Authorization: `Basic ${key}` })).status).toBe(401);
  });

  it("refuses a key that has expired", async () => {
    await using own = await openTestApp({ loopback: false });
    const { headers } = await own.makeKey("acme", ["read"], own.state.now() + 60_000);
    expect((await own.get("/v1/models", headers)).status).toBe(200);
    own.state.advance(60_001);
    expect((await readProblem(await own.get("/v1/models", headers))).detail).toContain("expired");
  });

  it("refuses a key within seconds of its revocation by another process", async () => {
    await using own = await openTestApp({ loopback: false });
    const { id, headers } = await own.makeKey("acme", ["read"]);
    expect((await own.get("/v1/models", headers)).status).toBe(200);
    await own.apiKeys.revoke("acme", id);
    own.state.advance(limits.apiKeyCacheMs);
    expect((await readProblem(await own.get("/v1/models", headers))).detail).toContain("revoked");
  });

  it("does so too when the clock was put back in between", async () => {
    await using own = await openTestApp({ loopback: false });
    const { id, headers } = await own.makeKey("acme", ["read"]);
    expect((await own.get("/v1/models", headers)).status).toBe(200);
    await own.apiKeys.revoke("acme", id);
    own.state.advance(-3_600_000);
    expect((await readProblem(await own.get("/v1/models", headers))).detail).toContain("revoked");
  });
});

describe("403", () => {
  it("lets each scope do its own and nothing else", async () => {
    const [reader, submitter, admin] = await Promise.all([
      app.makeKey("acme", ["read"]),
      app.makeKey("acme", ["submit"]),
      app.makeKey("acme", ["admin"]),
    ]);
    const statuses = async ({ headers }: { headers: Record<string, string> }) => [
      (await read(headers)).status,
      (await submit(headers)).status,
      (await app.get("/v1/keys", headers)).status,
    ];
    expect(await statuses(reader)).toEqual([200, 403, 403]);
    expect(await statuses(submitter)).toEqual([403, 201, 403]);
    expect(await statuses(admin)).toEqual([200, 201, 200]);
    expect(await readProblem(await submit(reader.headers))).toMatchObject({
      code: "insufficient_scope",
      needed_scope: "submit",
      detail: "This needs an API key with the scope `submit`; yours has read.",
    });
  });
});

describe("what is told of all tenants together", () => {
  it("is for keys that the command gave this scope, and not for a tenant's admin", async () => {
    const [admin, metrics] = [await app.makeKey("acme", ["admin"]), await app.makeKey("ops", ["metrics"])];
    expect(await readProblem(await app.get("/v1/scaling", admin.headers))).toMatchObject({ needed_scope: "metrics" });
    expect((await app.get("/v1/scaling", metrics.headers)).status).toBe(200);
    expect((await read(metrics.headers)).status).toBe(403);
    const escalated = await app.post("/v1/keys", { scopes: ["metrics"] }, "application/json", admin.headers);
    expect(await readProblem(escalated)).toMatchObject({ code: "invalid_request", field: "scopes[0]" });
  });
});

describe("what needs no key", () => {
  it.each(["/healthz", "/readyz", "/openapi.json", "/problems/internal"])("%s", async (path) => {
    expect((await app.get(path)).status).toBe(200);
  });

  it("and nothing else: every other route asks for a scope", async () => {
    const { paths } = (await (await app.get("/openapi.json")).json()) as { paths: Record<string, object> };
    const open = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).filter((method) => neededScope(method, path) === null && `${method} ${path}`),
    );
    expect(Object.keys(paths).filter((path) => neededScope("GET", path) === null)).toEqual([
      "/healthz",
      "/readyz",
      "/problems/{code}",
    ]);
    expect(open).toEqual(["get", "get", "get"]);
  });
});

describe("tenants", () => {
  it("cannot see what belongs to another, by name or in a list", async () => {
    const [acme, other] = [await app.makeKey("acme", ["submit", "read"]), await app.makeKey("other", ["admin"])];
    const sent = await app.post("/v1/documents", "ours", "text/plain", acme.headers);
    const document = (await sent.json()) as { id: string };
    expect((await app.get(`/v1/documents/${document.id}`, acme.headers)).status).toBe(200);
    expect((await app.get(`/v1/documents/${document.id}`, other.headers)).status).toBe(404);
    const submitted = await app.post(
      "/v1/jobs",
      { document: { id: document.id }, question: "what?", max_tokens: 5 },
      "application/json",
      acme.headers,
    );
    const { id } = (await submitted.json()) as { id: string };
    expect((await app.get(`/v1/jobs/${id}`, acme.headers)).status).toBe(200);
    for (const path of [`/v1/jobs/${id}`, `/v1/jobs/${id}/result`]) {
      expect((await app.get(path, other.headers)).status).toBe(404);
    }
    const stolen = { document: { id: document.id }, question: "what?" };
    expect((await app.post("/v1/jobs", stolen, "application/json", other.headers)).status).toBe(404);
    const { data } = (await (await app.get("/v1/keys", other.headers)).json()) as { data: { tenant: string }[] };
    expect(data.map(({ tenant }) => tenant)).toEqual(["other"]);
  });
});

describe("without any key, on loopback", () => {
  it("works as the local tenant until the first key is made", async () => {
    await using own = await openTestApp();
    expect((await own.get("/v1/models")).status).toBe(200);
    expect((await own.get("/v1/models", bearer("sk-whatever-a-client-sends"))).status).toBe(200);
    const { id } = await own.makeKey("acme", ["read"]);
    own.state.advance(limits.apiKeyCacheMs);
    expect((await own.get("/v1/models")).status).toBe(401);
    await own.apiKeys.revoke("acme", id);
    own.state.advance(limits.apiKeyCacheMs);
    expect((await own.get("/v1/models")).status).toBe(401);
  });

  it("manages no keys", async () => {
    await using own = await openTestApp();
    const problem = await readProblem(await own.post("/v1/keys", { scopes: ["admin"] }));
    expect(problem).toMatchObject({ status: 403, code: "insufficient_scope" });
  });

  it.each([
    ["a page of another site", "http://localhost/v1/models", { Origin: "https://evil.example" }],
    ["a page in a sandbox", "http://localhost/v1/models", { Origin: "null" }],
    ["a name that was bound to this address", "http://evil.example/v1/models", {}],
  ])("refuses %s", async (_, url, headers) => {
    await using own = await openTestApp();
    expect(await readProblem(await own.app.request(url, { headers }))).toMatchObject({
      status: 403,
      code: "origin_refused",
    });
  });

  it("takes its own pages and every way to write loopback", async () => {
    await using own = await openTestApp();
    for (const origin of ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"]) {
      const response = await own.app.request(`${origin}/v1/models`, { headers: { Origin: origin } });
      expect(response.status).toBe(200);
    }
  });
});

describe("the log", () => {
  it("names the key of each request and holds no secret", async () => {
    const { id, key, headers } = await app.makeKey("acme", ["read"]);
    await read(headers);
    expect(app.logged.map(({ fields }) => fields)).toContainEqual(
      expect.objectContaining({ tenant: "acme", key: id, method: "GET", path: "/v1/models", status: 200 }),
    );
    expect(JSON.stringify(app.logged)).not.toContain(key.slice(-43));
  });

  it("tells why a request was refused, of a known key by its id", async () => {
    const { id, headers } = await app.makeKey("acme", ["read"]);
    await app.apiKeys.revoke("acme", id);
    await read(headers);
    await submit((await app.makeKey("acme", ["read"])).headers);
    const refused = app.logged.filter(({ message }) => message === "request refused").map(({ fields }) => fields);
    expect(refused).toContainEqual(
      expect.objectContaining({ code: "api_key_invalid", reason: `API key ${id} refused: it was revoked` }),
    );
    expect(refused).toContainEqual(expect.objectContaining({ code: "insufficient_scope" }));
  });

  it("says when each key was last used", async () => {
    const { id, headers } = await app.makeKey("lately", ["read"]);
    expect((await app.apiKeys.list("lately"))[0]?.last_used_ms).toBeNull();
    await read(headers);
    await expect
      .poll(async () => (await app.apiKeys.list("lately"))[0])
      .toMatchObject({
        id,
        last_used_ms: expect.closeTo(Date.now(), -5),
      });
  });
});

describe("every response", () => {
  it.each(["/healthz", "/v1/models", "/nowhere"])("%s carries security headers and no CORS", async (path) => {
    const { headers } = await app.get(path, { Origin: "https://page.example" });
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect([...headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
  });
});
