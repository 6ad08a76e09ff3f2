import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApiKeyStore } from "../../api/state/api-key-store.ts";
import { openEmbedded } from "../support/embedded-state.ts";

type Handler = typeof import("../../api/lambda.ts").handler;

let directory: string;
let handler: Handler;
let key: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "gnomon-lambda-"));
  Object.assign(process.env, { GNOMON_STATE: "embedded", GNOMON_STATE_DIR: directory, GNOMON_LOG_LEVEL: "silent" });
  const state = await openEmbedded(directory);
  const apiKeys = createApiKeyStore({ objects: state.objects, now: Date.now });
  ({ key } = await apiKeys.create({ tenant: "acme", name: "", scopes: ["submit", "read"], expiresMs: null }));
  await state.close();
  ({ handler } = await import("../../api/lambda.ts"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** What an HTTP API sends a function: payload format 2.0. */
async function invoke(method: string, path: string, body?: string, contentType = "application/json", base64 = false) {
  const event = {
    version: "2.0",
    routeKey: "$default",
    rawPath: path,
    rawQueryString: "",
    headers: {
      host: "api.example.com",
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { "content-type": contentType }),
    },
    requestContext: {
      accountId: "123456789012",
      apiId: "api",
      domainName: "api.example.com",
      http: { method, path, protocol: "HTTP/1.1", sourceIp: "192.0.2.1", userAgent: "test" },
      requestId: "request-1",
      routeKey: "$default",
      stage: "$default",
      time: "24/Nov/2026:00:00:00 +0000",
      timeEpoch: 0,
    },
    isBase64Encoded: base64,
    ...(body === undefined ? {} : { body: base64 ? Buffer.from(body).toString("base64") : body }),
  };
  const answer = (await handler(event as unknown as Parameters<Handler>[0])) as {
    statusCode: number;
    headers: Record<string, string>;
    body: string;
  };
  return { ...answer, json: () => JSON.parse(answer.body) };
}

describe("the api as a Lambda function", () => {
  it("takes a document and a job, and tells their state", async () => {
    const document = await invoke("POST", "/v1/documents", "Contract KD-4417 expires in March.", "text/plain", true);
    expect(document.statusCode).toBe(201);
    const job = await invoke(
      "POST",
      "/v1/jobs",
      JSON.stringify({ document: { id: document.json().id }, question: "When does contract KD-4417 expire?" }),
    );
    expect(job.statusCode).toBe(202);
    const state = await invoke("GET", `/v1/jobs/${job.json().id}`);
    expect(state.json()).toMatchObject({ object: "job", id: job.json().id, status: "queued" });
  });

  it("asks for an API key whatever GNOMON_HOST says", async () => {
    const valid = key;
    key = "none";
    expect((await invoke("GET", "/v1/models")).statusCode).toBe(401);
    key = valid;
    expect((await invoke("GET", "/v1/models")).statusCode).toBe(200);
  });

  it("answers a bad request with a problem document", async () => {
    const { statusCode, headers, json } = await invoke("POST", "/v1/jobs", "{");
    expect(statusCode).toBe(400);
    expect(headers["content-type"]).toContain("application/problem+json");
    expect(json().code).toBe("malformed_json");
  });
});
