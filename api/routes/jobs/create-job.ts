import { createRoute, z } from "@hono/zod-openapi";
import { CreateJob, jobExample } from "../../contract/job-request.ts";
import { Job } from "../../contract/job-resource.ts";
import { mediaTypes } from "../../http/media-types.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { admitJob, RateLimitHeaders } from "./admit-job.ts";
import { describeJob } from "./describe-job.ts";
import { IdempotencyHeaders, parseIdempotencyKey } from "./idempotency-key.ts";
import type { JobDeps } from "./job-deps.ts";
import { resolveJob } from "./resolve-job.ts";

const postJob = createRoute({
  method: "post",
  path: "/v1/jobs",
  summary: "Ask questions about a document",
  description:
    "One of `question`, `questions`, `messages` and `prompt` says what is asked. Questions need a `document` or " +
    "`documents`, messages may have them.",
  middleware: mediaTypes("application/json"),
  request: {
    headers: IdempotencyHeaders,
    body: { required: true, content: { "application/json": { schema: CreateJob, example: jobExample } } },
  },
  responses: {
    202: {
      description: "Accepted, and kept whatever breaks from now on; poll `urls.self`.",
      headers: z.object({
        Location: z.string().meta({ description: "The job." }),
        ...RateLimitHeaders,
      }),
      content: { "application/json": { schema: Job } },
    },
    200: {
      description: "An earlier request with this Idempotency-Key made this job.",
      headers: z.object({ Location: z.string(), "Idempotency-Replayed": z.literal("true") }),
      content: { "application/json": { schema: Job } },
    },
    ...problemResponses(400, 404, 409, 413, 415, 422, 429),
  },
});

export const createJobRoute = (deps: JobDeps) =>
  createRouter().openapi(postJob, async (c) => {
    const tenant = c.get("tenant");
    const asked = c.req.valid("json");
    const { hash, fingerprint } = parseIdempotencyKey(c.req.valid("header")["idempotency-key"], asked);
    // Looked up first, as measuring a long document takes its time.
    const earlier = hash === null ? null : await deps.jobs.findByKey(tenant, hash, fingerprint);
    const { state, replayed } = earlier === null ? await submit() : { state: earlier, replayed: true };
    const job = await describeJob(state, deps.estimates);
    const Location = job.urls.self;
    return replayed ? c.json(job, 200, { Location, "Idempotency-Replayed": "true" }) : c.json(job, 202, { Location });

    async function submit() {
      const request = { ...(await resolveJob(tenant, asked, deps)), idempotency_hash: hash };
      return admitJob(c, request, deps, (job) => deps.jobs.submit(tenant, request, { fingerprint, ...job }));
    }
  });
