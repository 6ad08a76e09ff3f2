import { setTimeout as delay } from "node:timers/promises";
import { createRoute, z } from "@hono/zod-openapi";
import { isTerminal, type JobState } from "../../contract/job.ts";
import { Job } from "../../contract/job-resource.ts";
import { limits } from "../../contract/limits.ts";
import { cheapEtag } from "../../etag.ts";
import { createRouter, problemResponses } from "../../router.ts";
import { describeJob } from "./describe-job.ts";
import type { JobDeps } from "./job-deps.ts";
import { readJob } from "./read-job.ts";

const getJob = createRoute({
  method: "get",
  path: "/v1/jobs/{id}",
  summary: "Where a job stands, exact to the token",
  middleware: cheapEtag(),
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

/** Looks come more seldom as time goes: an answer that took a minute may be late by a second. */
const FIRST_LOOK_MS = 50;
const LAST_LOOK_MS = 1_000;

export const getJobRoute = ({ jobs, estimates }: JobDeps) =>
  createRouter().openapi(getJob, async (c) => {
    const { id } = c.req.valid("param");
    const tenant = c.get("tenant");
    const waitSeconds = parseWait(c.req.valid("header").prefer);
    if (waitSeconds !== null) c.header("Preference-Applied", `wait=${waitSeconds}`);
    const state = await waitForEnd(() => readJob(jobs, tenant, id), (waitSeconds ?? 0) * 1000, c.req.raw.signal);
    return c.json(await describeJob(state, estimates), 200);
  });

/** The latest state: a terminal one, or that after `waitMs`. Ends early for a client that is gone. */
async function waitForEnd(read: () => Promise<JobState>, waitMs: number, gone: AbortSignal): Promise<JobState> {
  const deadline = performance.now() + waitMs;
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(LAST_LOOK_MS, pauseMs * 1.5)) {
    const state = await read();
    const remaining = deadline - performance.now();
    if (isTerminal(state.status) || remaining <= 0 || gone.aborted) return state;
    await delay(Math.min(pauseMs, remaining), undefined, { signal: gone }).catch(() => undefined);
  }
}

/** The seconds of RFC 7240's `wait` preference; null without one. Preferences that make no sense are to be ignored. */
function parseWait(prefer: string | undefined): number | null {
  const wait = /(?:^|[,;])\s*wait\s*(?:=\s*"?(\d+)"?)?\s*(?=$|[,;])/i.exec(prefer ?? "");
  if (wait === null) return null;
  return Math.min(limits.maxWaitSeconds, wait[1] === undefined ? limits.maxWaitSeconds : Number(wait[1]));
}
