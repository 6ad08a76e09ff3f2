import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { z } from "zod";
import { createApp } from "../../api/app.ts";
import { Problem } from "../../api/contract/problem.ts";
import type { Prompt } from "../../api/contract/prompts.ts";
import { wordsOf } from "./fake-engine.ts";
import { openTempState } from "./temp-state.ts";

/** A model whose prompt has one token for each word of document and question, and one to begin with. */
const WORD_MODEL = {
  id: "words",
  maxPositions: 100,
  countPromptTokens: async (prompt: Prompt) => 1 + wordsOf(prompt).length,
};

/** The real app on real embedded state; what it logs is kept. */
export async function openTestApp({ checkReady = async () => {} } = {}) {
  const state = await openTempState();
  const logged: { fields: object; message: string }[] = [];
  const log = (fields: object, message: string) => void logged.push({ fields, message });
  const app = createApp({
    jobs: state.jobs,
    documents: state.documents,
    model: WORD_MODEL,
    signedObjects: state,
    tenant: "default",
    checkReady,
    newId: randomUUID,
    log: { info: log, error: log },
  });
  return {
    app,
    state,
    logged,
    get: async (path: string) => app.request(path),
    post: async (path: string, body: unknown, type = "application/json") =>
      app.request(path, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        headers: { "Content-Type": type },
      }),
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
