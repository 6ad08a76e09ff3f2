import { createRoute, z } from "@hono/zod-openapi";
import { AppError } from "../contract/errors.ts";
import { isTerminal, type JobState } from "../contract/job.ts";
import { CreateJob } from "../contract/job-request.ts";
import { Job } from "../contract/job-resource.ts";
import { JobResult } from "../contract/job-result.ts";
import { mediaTypes } from "../media-types.ts";
import { createRouter, problemResponses } from "../router.ts";
import type { ServedModel } from "../served-model.ts";
import type { DocumentStore } from "../state/document-store.ts";
import type { JobStore } from "../state/job-store.ts";
import { describeJob } from "./jobs/describe-job.ts";
import { resolveJob } from "./jobs/resolve-job.ts";

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

type Deps = { jobs: JobStore; documents: DocumentStore; model: ServedModel };

export const jobRoutes = ({ jobs, documents, model }: Deps) => {
  async function readJob(tenant: string, id: string): Promise<JobState> {
    const state = await jobs.get(tenant, id);
    if (state === null) throw new AppError("job_not_found", `no job ${id}`, { detail: `There is no job \`${id}\`.` });
    return state;
  }

  return createRouter()
    .openapi(postJob, async (c) => {
      const tenant = c.get("tenant");
      const request = await resolveJob(tenant, c.req.valid("json"), { documents, model });
      const { state } = await jobs.submit(tenant, request);
      const job = describeJob(state);
      return c.json(job, 202, { Location: job.urls.self });
    })
    .openapi(getJob, async (c) => c.json(describeJob(await readJob(c.get("tenant"), c.req.valid("param").id)), 200))
    .openapi(getResult, async (c) => {
      const state = await readJob(c.get("tenant"), c.req.valid("param").id);
      if (state.status !== "succeeded") throw noResult(state);
      const result = await jobs.getResult(state.tenant, state.id);
      if (result === null) throw new AppError("internal", `job ${state.id} succeeded without result.json`);
      return c.json(result, 200);
    });
};

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
