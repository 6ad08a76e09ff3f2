import { createRoute, z } from "@hono/zod-openapi";
import { accepts } from "hono/accepts";
import { AppError } from "../../contract/errors.ts";
import { isTerminal, type JobState } from "../../contract/job.ts";
import { JobResult } from "../../contract/job-result.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import type { JobDeps } from "./job-deps.ts";
import { readJob, readResult } from "./read-job.ts";

const getResult = createRoute({
  method: "get",
  path: "/v1/jobs/{id}/result",
  summary: "The answers of a job",
  description:
    "Of a job that succeeded; of one that was cancelled or has expired, what there was of them. As `text/plain` or " +
    "`text/markdown`, by the Accept header, only what the model said.",
  request: {
    params: z.object({ id: z.string() }),
    headers: z.object({ accept: z.string().optional() }),
  },
  responses: {
    200: {
      description: "The answers.",
      content: {
        "application/json": { schema: JobResult },
        "text/plain": { schema: z.string() },
        "text/markdown": { schema: z.string() },
      },
    },
    ...problemResponses(404, 409),
  },
});

const TYPES = ["application/json", "text/plain", "text/markdown"];

export const getResultRoute = ({ jobs }: JobDeps) =>
  createRouter().openapi(getResult, async (c) => {
    const state = await readJob(jobs, c.get("tenant"), c.req.valid("param").id);
    if (!mayHaveResult(state)) throw noResult(state);
    const result = await readResult(jobs, state);
    if (result === null) {
      if (state.status !== "succeeded") throw noResult(state);
      throw new AppError("internal", `job ${state.id} succeeded without result.json`);
    }
    const type = accepts(c, { header: "Accept", supports: TYPES, default: "application/json" });
    c.header("Vary", "Accept");
    if (type === "application/json") return c.json(result, 200);
    const text = type === "text/markdown" ? asMarkdown(result) : asText(result);
    return c.body(text, 200, { "Content-Type": `${type}; charset=UTF-8` });
  });

const mayHaveResult = ({ status }: JobState): boolean => isTerminal(status) && status !== "failed";

/** The answers alone; of several each below its question. */
const asText = ({ answers }: JobResult): string =>
  answers.length === 1
    ? (answers[0]?.answer ?? "")
    : answers.map(({ question, answer }) => `${question}\n\n${answer}\n`).join("\n");

const asMarkdown = ({ answers }: JobResult): string =>
  answers.length === 1
    ? (answers[0]?.answer ?? "")
    : answers.map(({ question, answer }) => `## ${(question ?? "").replace(/\s+/g, " ")}\n\n${answer}\n`).join("\n");

function noResult({ id, status, error }: JobState): AppError {
  return isTerminal(status)
    ? new AppError("job_not_succeeded", `job ${id} is ${status}`, {
        detail: `Job \`${id}\` ${status === "failed" ? `failed: ${error?.message}` : ENDED[status]}`,
        extra: { job_status: status, job_error: error },
      })
    : new AppError("result_not_ready", `job ${id} is ${status}`, {
        detail: `Job \`${id}\` is ${status}: poll /v1/jobs/${id} until its status is \`succeeded\`.`,
        extra: { job_status: status },
      });
}

const ENDED: Record<string, string> = {
  cancelled: "was cancelled before there was any answer.",
  expired: "has expired before there was any answer.",
};
