import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { JobRequest } from "../../contract/job-request.ts";
import type { Submitted } from "../../state/jobs/job-submit.ts";
import type { QuotaGate } from "../../state/jobs/quota.ts";

/** Of an answer to a submit, where there are quotas. */
export const RateLimitHeaders = {
  "RateLimit-Policy": z
    .string()
    .optional()
    .meta({ examples: ['"jobs";q=100000;qu="concurrent-requests"'] }),
  RateLimit: z
    .string()
    .optional()
    .meta({ examples: ['"jobs";r=99998'] }),
};

type Deps = { gate: QuotaGate; now: () => number; newId: () => string };

/** What of a job is known before it is submitted. */
export type Admitted = { id: string; createdMs: number };

/**
 * Submits a job if its tenant's quota lasts, and puts what is left of it into the answer's headers, as of
 * draft-ietf-httpapi-ratelimit-headers. Throws quota_exceeded.
 */
export async function admitJob(
  c: Context,
  request: JobRequest,
  { gate, now, newId }: Deps,
  submit: (job: Admitted) => Promise<Submitted>,
  id = `job_${newId()}`,
): Promise<Submitted> {
  const tenant: string = c.get("tenant");
  const createdMs = now();
  const weight = {
    tenant,
    createdMs,
    priority: request.priority,
    promptTokens: request.prompt_tokens.reduce((sum, tokens) => sum + tokens, 0),
    completionTokens: request.prompt_tokens.length * request.max_tokens,
  };
  try {
    await gate.admit(id, weight);
  } finally {
    setRateLimit(c, gate, tenant);
  }
  try {
    const submitted = await submit({ id, createdMs });
    if (submitted.replayed) gate.withdraw(id);
    else gate.submitted(id);
    return submitted;
  } catch (error) {
    gate.withdraw(id);
    throw error;
  }
}

/** The units are jobs and tokens at once in the queue or running, not a number for a time, so there is no window. */
function setRateLimit(c: Context, gate: QuotaGate, tenant: string): void {
  const left = gate.left(tenant);
  if (left.length === 0) return;
  c.header("RateLimit-Policy", left.map(({ name, quota }) => `"${name}";q=${quota};qu="${UNITS[name]}"`).join(", "));
  c.header("RateLimit", left.map(({ name, left }) => `"${name}";r=${Math.max(0, left)}`).join(", "));
}

const UNITS = { jobs: "concurrent-requests", tokens: "tokens" };
