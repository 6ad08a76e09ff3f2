import { createRoute, z } from "@hono/zod-openapi";
import { AppError } from "../contract/errors.ts";
import {
  CreateJob,
  isTerminal,
  Job,
  type JobProgress,
  type JobRequest,
  JobResult,
  type JobState,
} from "../contract/job.ts";
import { mediaTypes } from "../media-types.ts";
import { createRouter, problemResponses } from "../router.ts";
import { checkModelIsServed, countFittingPrompts, type ServedModel } from "../served-model.ts";
import type { DocumentStore } from "../state/document-store.ts";
import type { JobStore } from "../state/job-store.ts";
import { documentNotFound } from "./documents.ts";

const postJob = createRoute({
  method: "post",
  path: "/v1/jobs",
  summary: "Ask questions about a document",
  middleware: mediaTypes("application/json"),
  request: { body: { required: true, content: { "application/json": { schema: CreateJob } } } },
  responses: {
    202: {
      description: "Accepted; poll `urls.self`.",
      headers: z.object({ Location: z.string().meta({ description: "The job." }) }),
      content: { "application/json": { schema: Job } },
    },
    ...problemResponses(400, 404, 413, 415),
  },
});

const getJob = createRoute({
  method: "get",
  path: "/v1/jobs/{id}",
  summary: "Where a job stands, exact to the token",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: { description: "The job.", content: { "application/json": { schema: Job } } },
    ...problemResponses(404),
  },
});

const getResult = createRoute({
  method: "get",
  path: "/v1/jobs/{id}/result",
  summary: "The answers of a job that succeeded",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: { description: "The answers.", content: { "application/json": { schema: JobResult } } },
    ...problemResponses(404, 409),
  },
});

type Deps = { jobs: JobStore; documents: DocumentStore; model: ServedModel; newId: () => string };

export const jobRoutes = ({ jobs, documents, model, newId }: Deps) => {
  /** The text to ask about, which is stored only once the prompts are known to fit. */
  async function readDocument(tenant: string, { id, text }: CreateJob["document"]): Promise<string> {
    if (id === undefined) return text ?? "";
    const stored = await documents.getDocumentText(tenant, id);
    if (stored === null) throw documentNotFound(id, "document.id");
    return stored;
  }

  async function readJob(tenant: string, id: string): Promise<JobState> {
    const state = await jobs.get(tenant, id);
    if (state === null) throw new AppError("job_not_found", `no job ${id}`, { detail: `There is no job \`${id}\`.` });
    return state;
  }

  return createRouter()
    .openapi(postJob, async (c) => {
      const asked = c.req.valid("json");
      const { tenant } = c.var.caller;
      checkModelIsServed(model, asked.model);
      const questions = asked.questions ?? [asked.question ?? ""];
      const text = await readDocument(tenant, asked.document);
      const promptTokens = await countFittingPrompts(model, text, questions, asked.max_tokens);
      const documentId = asked.document.id ?? (await documents.putDocument(tenant, text)).id;
      const request: JobRequest = {
        model: model.id,
        document_id: documentId,
        questions,
        max_tokens: asked.max_tokens,
        temperature: asked.temperature,
        top_p: asked.top_p,
        top_k: asked.top_k,
        seed: asked.seed,
        metadata: asked.metadata,
      };
      const state = await jobs.submit(tenant, request, queuedProgress(promptTokens), `job_${newId()}`);
      const job = describeJob(state);
      return c.json(job, 202, { Location: job.urls.self });
    })
    .openapi(getJob, async (c) => c.json(describeJob(await readJob(c.var.caller.tenant, c.req.valid("param").id)), 200))
    .openapi(getResult, async (c) => {
      const { tenant } = c.var.caller;
      const state = await readJob(tenant, c.req.valid("param").id);
      if (state.status !== "succeeded") throw noResult(state);
      const result = await jobs.getResult(tenant, state.id);
      if (result === null) throw new AppError("internal", `job ${state.id} succeeded without result.json`);
      return c.json(result, 200);
    });
};

const queuedProgress = (promptTokens: readonly number[]): JobProgress => ({
  prompt_tokens: promptTokens.reduce((sum, tokens) => sum + tokens, 0),
  prefill_tokens: 0,
  generated_tokens: 0,
  questions_done: 0,
  questions_total: promptTokens.length,
});

function describeJob(state: JobState): Job {
  const self = `/v1/jobs/${state.id}`;
  return {
    object: "job",
    id: state.id,
    status: state.status,
    model: state.model,
    attempt: state.attempt,
    progress: state.progress,
    metadata: state.metadata,
    created_at: state.created_ms / 1000,
    started_at: state.started_ms === null ? null : state.started_ms / 1000,
    finished_at: state.finished_ms === null ? null : state.finished_ms / 1000,
    error: state.error,
    urls: { self, result: `${self}/result` },
  };
}

function noResult({ id, status, error }: JobState): AppError {
  return isTerminal(status)
    ? new AppError("job_not_succeeded", `job ${id} is ${status}`, {
        detail: `Job \`${id}\` ${status === "failed" ? `failed: ${error?.message}` : `was ${status}`}.`,
        extra: { job_status: status, job_error: error },
      })
    : new AppError("result_not_ready", `job ${id} is ${status}`, {
        detail: `Job \`${id}\` is ${status}: poll /v1/jobs/${id} until its status is \`succeeded\`.`,
        extra: { job_status: status },
      });
}
