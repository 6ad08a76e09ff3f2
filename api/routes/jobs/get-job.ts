import { createRoute, z } from "@hono/zod-openapi";
import { Job } from "../../contract/job-resource.ts";
import { limits } from "../../contract/limits.ts";
import { jsonUnlessKnown } from "../../http/etag.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { describeJob } from "./describe-job.ts";
import type { JobDeps } from "./job-deps.ts";
import { readJob } from "./read-job.ts";
import { waitForEnd } from "./wait-for-end.ts";

const getJob = createRoute({
  method: "get",
  path: "/v1/jobs/{id}",
  summary: "Where a job stands, exact to the token",
  request: {
    params: z.object({ id: z.string() }),
    headers: z.object({
      prefer: z
        .string()
        .optional()
        .meta({
          description: `\`wait=n\`: answer when the job is over, or after n seconds (${limits.maxWaitSeconds} at most).`,
          examples: ["wait=30"],
        }),
      "if-none-match": z.string().optional().meta({ description: "An `ETag` that an earlier answer had." }),
    }),
  },
  responses: {
    200: {
      description: "The job.",
      headers: z.object({ ETag: z.string(), "Preference-Applied": z.string().optional() }),
      content: { "application/json": { schema: Job } },
    },
    304: { description: "The job is as it was." },
    ...problemResponses(404),
  },
});

export const getJobRoute = ({ jobs, estimates, waitMs }: JobDeps) =>
  createRouter().openapi(getJob, async (c) => {
    const { id } = c.req.valid("param");
    const tenant = c.get("tenant");
    const waitSeconds = parseWait(c.req.valid("header").prefer, Math.min(limits.maxWaitSeconds, waitMs / 1000));
    if (waitSeconds !== null) c.header("Preference-Applied", `wait=${waitSeconds}`);
    const state = await waitForEnd(() => readJob(jobs, tenant, id), (waitSeconds ?? 0) * 1000, c.req.raw.signal);
    return jsonUnlessKnown(c, await describeJob(state, estimates));
  });

/**
 * The seconds of RFC 7240's `wait` preference; null without one. Preferences that make no sense are to be ignored. Piece by
 * piece: an expression for the whole header can take seconds over one that is full of spaces.
 */
function parseWait(prefer: string | undefined, maxSeconds: number): number | null {
  for (const preference of prefer?.split(/[,;]/) ?? []) {
    const [name = "", value, ...others] = preference.split("=").map((part) => part.trim());
    if (name.toLowerCase() !== "wait" || others.length > 0) continue;
    if (value === undefined) return maxSeconds;
    const seconds = /^(?:\d+|"\d+")$/.test(value) ? Number(value.replaceAll('"', "")) : null;
    if (seconds !== null) return Math.min(maxSeconds, seconds);
  }
  return null;
}
