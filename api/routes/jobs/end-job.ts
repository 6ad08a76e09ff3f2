import { createRoute, z } from "@hono/zod-openapi";
import { AppError } from "../../contract/errors.ts";
import { isTerminal } from "../../contract/job.ts";
import { Job } from "../../contract/job-resource.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { admitJob } from "./admit-job.ts";
import { describeJob } from "./describe-job.ts";
import { IdempotencyHeaders, parseIdempotencyKey } from "./idempotency-key.ts";
import type { JobDeps } from "./job-deps.ts";
import { jobNotFound, notFinished, readJob } from "./read-job.ts";

const params = z.object({ id: z.string() });

const cancelJob = createRoute({
  method: "post",
  path: "/v1/jobs/{id}/cancel",
  summary: "Stop a job",
  description: "A job that is over stays as it is. What a running job has answered so far is kept as its result.",
  request: { params },
  responses: {
    200: { description: "The job is over.", content: { "application/json": { schema: Job } } },
    202: {
      description: "It runs, and its worker was asked to stop it.",
      content: { "application/json": { schema: Job } },
    },
    ...problemResponses(404),
  },
});

const retryJob = createRoute({
  method: "post",
  path: "/v1/jobs/{id}/retry",
  summary: "Try a job again that failed, was cancelled or has expired",
  description: "As a new job with the same request, whose `retry_of` names the old one; that stays as it is.",
  request: { params, headers: IdempotencyHeaders },
  responses: {
    202: {
      description: "The new job.",
      headers: z.object({ Location: z.string() }),
      content: { "application/json": { schema: Job } },
    },
    200: {
      description: "An earlier request with this Idempotency-Key made this job.",
      headers: z.object({ Location: z.string(), "Idempotency-Replayed": z.literal("true") }),
      content: { "application/json": { schema: Job } },
    },
    ...problemResponses(400, 404, 409, 422, 429),
  },
});

const deleteJob = createRoute({
  method: "delete",
  path: "/v1/jobs/{id}",
  summary: "Remove a job that is over, with everything that belongs to it",
  description: "Its documents stay, as other jobs may use them.",
  request: { params },
  responses: { 204: { description: "It is gone." }, ...problemResponses(404, 409) },
});

export const endJobRoutes = (deps: JobDeps) => {
  const { jobs, estimates } = deps;
  return createRouter()
    .openapi(cancelJob, async (c) => {
      const { id } = c.req.valid("param");
      const state = await jobs.cancel(c.get("tenant"), id);
      if (state === null) throw jobNotFound(id);
      const job = await describeJob(state, estimates);
      return isTerminal(state.status) ? c.json(job, 200) : c.json(job, 202);
    })
    .openapi(retryJob, async (c) => {
      const { id } = c.req.valid("param");
      const tenant = c.get("tenant");
      const key = parseIdempotencyKey(c.req.valid("header")["idempotency-key"], { retry_of: id });
      const failed = await readJob(jobs, tenant, id);
      if (failed.batch !== null) {
        throw new AppError("job_not_retryable", `job ${id} is of batch ${failed.batch.id}`, {
          detail: `Job \`${id}\` ran lines of batch \`${failed.batch.id}\`: send those again in another batch.`,
        });
      }
      if (!isTerminal(failed.status)) throw notFinished(failed, "try");
      if (failed.status === "succeeded") {
        throw new AppError("job_not_retryable", `job ${id} succeeded`, {
          detail: `Job \`${id}\` succeeded: its answers are at /v1/jobs/${id}/result.`,
        });
      }
      const request = await jobs.requestAgain(failed, key.hash);
      const { fingerprint } = key;
      const { state, replayed } = await admitJob(c, request, deps, (job) =>
        jobs.submit(tenant, request, { fingerprint, ...job }),
      );
      const job = await describeJob(state, estimates);
      const Location = job.urls.self;
      return replayed ? c.json(job, 200, { Location, "Idempotency-Replayed": "true" }) : c.json(job, 202, { Location });
    })
    .openapi(deleteJob, async (c) => {
      const { id } = c.req.valid("param");
      const found = await jobs.delete(c.get("tenant"), id);
      if (found === null) throw jobNotFound(id);
      if (!found.removed) throw notFinished(found.state, "delete");
      return c.body(null, 204);
    });
};
