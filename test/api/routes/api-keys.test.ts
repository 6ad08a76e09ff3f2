import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ApiKey, ApiKeyList, NewApiKey } from "../../../api/contract/api-key.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../support/test-app.ts";

let app: TestApp;
let admin: Awaited<ReturnType<TestApp["makeKey"]>>;
beforeAll(async () => {
  app = await openTestApp({ loopback: false });
  admin = await app.makeKey("acme", ["admin"]);
});
afterAll(() => app[Symbol.asyncDispose]());

const create = (body: unknown, type = "application/json") => app.post("/v1/keys", body, type, admin.headers);
const revoke = async (id: string) => app.app.request(`/v1/keys/${id}`, { method: "DELETE", headers: admin.headers });

describe("POST /v1/keys: 201", () => {
  it("makes a key of the caller's tenant that works at once", async () => {
    const response = await create({ name: "nightly", scopes: ["read", "read"], expires_in_seconds: 3600 });
    expect(response.status).toBe(201);
    expect(response.headers.get("cache-control")).toBe("no-store");
    const made = await readJson(NewApiKey, response);
    expect(made).toMatchObject({ tenant: "acme", name: "nightly", scopes: ["read"], last_used_at: null });
    expect(made.expires_at).toBeCloseTo(made.created_at + 3600, 0);
    const used = await app.get("/v1/models", { Authorization: `Bearer ${made.key}` });
    expect(used.status).toBe(200);
  });
});

describe("POST /v1/keys: 400", () => {
  it.each([
    ["no scope", {}, "scopes"],
    ["an unknown scope", { scopes: ["root"] }, "scopes[0]"],
    ["another tenant", { scopes: ["read"], tenant: "other" }, "tenant"],
  ])("refuses %s", async (_, body, field) => {
    expect(await readProblem(await create(body))).toMatchObject({ code: "invalid_request", field });
  });
});

describe("POST /v1/keys: 415", () => {
  it("takes JSON only", async () => {
    expect((await create("scopes=read", "application/x-www-form-urlencoded")).status).toBe(415);
  });
});

describe("GET /v1/keys: 200", () => {
  it("lists the tenant's keys without anything to sign in with", async () => {
    const made = await readJson(NewApiKey, await create({ scopes: ["submit"] }));
    await app.makeKey("other", ["read"]);
    const response = await app.get("/v1/keys", admin.headers);
    const text = await response.clone().text();
    const { data } = await readJson(ApiKeyList, response);
    expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining([admin.id, made.id]));
    expect(new Set(data.map(({ tenant }) => tenant))).toEqual(new Set(["acme"]));
    expect(text).not.toMatch(/secret|sha256|gnk_/);
  });
});

describe("DELETE /v1/keys/{id}: 200", () => {
  it("revokes for good, and once", async () => {
    const { id } = await readJson(NewApiKey, await create({ scopes: ["read"] }));
    const first = await readJson(ApiKey, await revoke(id));
    expect(first.revoked_at).not.toBeNull();
    expect(await readJson(ApiKey, await revoke(id))).toEqual(first);
    const logged = app.logged.map(({ fields }) => fields);
    expect(logged).toContainEqual({ tenant: "acme", key: admin.id, made: id, scopes: ["read"] });
    expect(logged).toContainEqual({ tenant: "acme", key: admin.id, revoked: id });
  });
});

describe("DELETE /v1/keys/{id}: 404", () => {
  it("knows neither another tenant's key nor one that is none", async () => {
    const other = await app.makeKey("other", ["read"]);
    for (const id of [other.id, "none", "..%2Fx"]) {
      expect(await readProblem(await revoke(id))).toMatchObject({ status: 404, code: "api_key_not_found" });
    }
  });
});

describe("DELETE /v1/keys/{id}: 409", () => {
  it("does not let a key saw off the branch it sits on", async () => {
    expect(await readProblem(await revoke(admin.id))).toMatchObject({ status: 409, code: "own_key" });
  });
});
