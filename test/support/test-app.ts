import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { z } from "zod";
import { createApp } from "../../api/app.ts";
import type { Scope } from "../../api/contract/access.ts";
import type { Price } from "../../api/contract/job.ts";
import { Job } from "../../api/contract/job-resource.ts";
import { limits } from "../../api/contract/limits.ts";
import { Problem } from "../../api/contract/problem.ts";
import type { Prompt } from "../../api/contract/prompts.ts";
import { PUBLIC_HTTPS_ONLY } from "../../api/contract/webhook-target.ts";
import { createConverter } from "../../api/convert/converter.ts";
import { createAccess } from "../../api/http/access.ts";
import { type ApiKeyStore, createApiKeyStore } from "../../api/state/api-key-store.ts";
import { createUploadStore } from "../../api/state/documents/upload-store.ts";
import { measureBacklog } from "../../api/state/jobs/backlog.ts";
import type { Claim } from "../../api/state/jobs/job-claims.ts";
import { claimJob } from "./claim-job.ts";
import { onlyDocumented } from "./documented.ts";
import { wordsOf } from "./fake-engine.ts";
import { openTempState, type TempState } from "./temp-state.ts";

/** A model whose prompt has one token for each word of document and question, and one to begin with. */
const WORD_MODEL = {
  id: "words",
  createdMs: 1_700_000_000_000,
  maxPositions: 100,
  countPromptTokens: async (prompt: Prompt) => 1 + wordsOf(prompt).length,
};

/**
 * The real app on real embedded state; what it logs is kept. Whether it asks for API keys is as with `loopback`, and
 * `findKey` finds them in place of the store.
 */
export async function openTestApp({
  checkReady = async () => {},
  waitMs = Number.POSITIVE_INFINITY,
  loopback = true,
  maxDocumentBytes = 1e9,
  quota = { jobs: 0, tokens: 0 },
  price = null as Price | null,
  state: given = null as TempState | null,
  findKey = null as ApiKeyStore["find"] | null,
} = {}) {
  const state = given ?? (await openTempState());
  const logged: { fields: object; message: string }[] = [];
  const log = (fields: object, message: string) => void logged.push({ fields, message });
  const apiKeys = createApiKeyStore({ objects: state.objects, now: state.now });
  const uploads = createUploadStore({ objects: state.objects, now: state.now, newId: randomUUID });
  const routes = createApp({
    jobs: state.jobs,
    documents: state.documents,
    files: state.files,
    batches: state.batches,
    batchEnd: state.batchEnd,
    backlog: () => measureBacklog(state.objects, { speed: 1, maxSequenceTokens: WORD_MODEL.maxPositions }),
    streams: state.streams,
    uploads,
    convert: createConverter(limits),
    maxDocumentBytes,
    webhooks: state.webhooks,
    keyrings: state.keyrings,
    webhookPolicy: PUBLIC_HTTPS_ONLY,
    model: WORD_MODEL,
    signedObjects: state,
    objects: state.objects,
    quota,
    price,
    access: createAccess({
      apiKeys: { ...apiKeys, find: findKey ?? apiKeys.find },
      loopback,
      now: state.now,
      log: { error: log },
    }),
    apiKeys,
    checkReady,
    waitMs,
    now: state.now,
    newId: randomUUID,
    randomSeed: () => 5,
    log: { info: log, error: log },
  });
  const app = { request: onlyDocumented(routes) };
  return {
    app,
    state,
    logged,
    apiKeys,
    uploads,
    get: async (path: string, headers: Record<string, string> = {}) => app.request(path, { headers }),
    post: async (path: string, body: unknown, type = "application/json", headers: Record<string, string> = {}) =>
      app.request(path, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        headers: { "Content-Type": type, ...headers },
      }),
    /** The header that a new key of the tenant goes into, and the key's id. */
    async makeKey(tenant: string, scopes: Scope[], expiresMs: number | null = null) {
      const { key, record } = await apiKeys.create({ tenant, name: "", scopes, expiresMs });
      return { id: record.id, key, headers: { Authorization: `Bearer ${key}` } };
    },
    delete: async (path: string) => app.request(path, { method: "DELETE" }),
    /** A job in the queue, by way of the API. */
    async submit(body: object = {}): Promise<Job> {
      const response = await this.post("/v1/jobs", {
        document: { text: "the sun is up" },
        ...("messages" in body || "prompt" in body || "questions" in body ? {} : { question: "where is the sun" }),
        max_tokens: 10,
        ...body,
      });
      expect(response.status).toBe(202);
      return readJson(Job, response);
    },
    claim: (id: string): Promise<Claim> => claimJob(state.jobs, "default", id, "test"),
    [Symbol.asyncDispose]: () => state[Symbol.asyncDispose](),
  };
}

export type TestApp = Awaited<ReturnType<typeof openTestApp>>;

/** The body of a response, which keeps to the contract's schema. */
export const readJson = async <S extends z.ZodType>(schema: S, response: Response): Promise<z.infer<S>> =>
  schema.parse(await response.json());

/** The problem document of a response, after what holds for each of them. */
export async function readProblem(response: Response): Promise<Problem> {
  const problem = await readJson(Problem, response);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(problem).toMatchObject({ type: `/problems/${problem.code}`, status: response.status });
  return problem;
}
