import { randomUUID } from "node:crypto";
import { createApp } from "../../api/app.ts";
import { openTempState } from "./temp-state.ts";

/** A model whose prompt has one token for each word of document and question, and one to begin with. */
const WORD_MODEL = {
  id: "words",
  maxPositions: 100,
  countPromptTokens: async ({ document, question }: { document: string; question: string }) =>
    1 + `${document} ${question}`.split(/\s+/).length,
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

/** What a test expects of a body, it checks itself: hence `any`. */
export const readJson = (response: Response): Promise<any> => response.json() as Promise<any>;

/** The problem document of a response, after what holds for each of them. */
export async function readProblem(response: Response): Promise<Record<string, any>> {
  const body = await readJson(response);
  const own = { type: `/problems/${body.code}`, status: response.status };
  if (response.headers.get("content-type") !== "application/problem+json") throw new Error("not a problem document");
  if (body.type !== own.type || body.status !== own.status) throw new Error(`inconsistent: ${JSON.stringify(body)}`);
  return body;
}
