import { createRoute, z } from "@hono/zod-openapi";
import { AppError } from "../../contract/errors.ts";
import { type JobState, JobStatus } from "../../contract/job.ts";
import { JobList } from "../../contract/job-resource.ts";
import { limits } from "../../contract/limits.ts";
import { jsonUnlessKnown } from "../../http/etag.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { CURSOR } from "../../state/jobs/job-index.ts";
import { describeJob } from "./describe-job.ts";
import type { JobDeps } from "./job-deps.ts";

const listJobs = createRoute({
  method: "get",
  path: "/v1/jobs",
  summary: "Jobs, newest first",
  request: {
    query: z.object({
      limit: z.coerce.number().int().min(1).max(limits.listPage).default(20),
      after: z
        .string()
        .regex(CURSOR, "must be the `next_cursor` of an earlier page, unchanged")
        .optional()
        .meta({ description: "`next_cursor` of the page before." }),
      status: z
        .preprocess((value) => (typeof value === "string" ? value.split(",") : value), z.array(JobStatus).optional())
        .optional()
        .meta({ description: "Only jobs in one of these states.", param: { style: "form", explode: true } }),
      metadata: z
        .record(z.string(), z.string())
        .optional()
        .meta({
          description: "Only jobs with all of these pairs: `metadata[team]=archive`.",
          propertyNames: { minLength: 1 },
          // Whatever it looks like, in a query it is text.
          additionalProperties: { type: ["string", "number", "boolean", "null"] },
          param: { style: "deepObject", explode: true },
        }),
    }),
  },
  responses: {
    200: {
      description:
        "A page. With filters it may be short, even empty, while `has_more` is true: only so many jobs are looked " +
        "through for one page.",
      content: { "application/json": { schema: JobList } },
    },
    304: { description: "The page is as it was." },
    ...problemResponses(400),
  },
});

/** Jobs that are looked through for one page. */
const SCAN = 1_000;
const READS_AT_ONCE = 50;

type Filter = { status: readonly JobStatus[] | undefined; metadata: [string, string][] };

export const listJobsRoute = ({ jobs, estimates }: JobDeps) => {
  async function scan(tenant: string, after: string | null, limit: number, filter: Filter) {
    const found: JobState[] = [];
    let cursor = after;
    for (let scanned = 0; scanned < SCAN; ) {
      const page = await jobs.index.list(tenant, { after: cursor, limit: READS_AT_ONCE });
      const states = await Promise.all(page.map(({ job }) => jobs.get(tenant, job)));
      for (const [index, state] of states.entries()) {
        cursor = page[index]?.cursor ?? cursor;
        // null: deleted, past its retention, or not accepted yet.
        if (state !== null && matches(state, filter)) found.push(state);
        if (found.length === limit) return { found, next: cursor };
      }
      if (page.length < READS_AT_ONCE) return { found, next: null };
      scanned += page.length;
    }
    return { found, next: cursor };
  }

  return createRouter().openapi(listJobs, async (c) => {
    const { limit, after, status } = c.req.valid("query");
    const filter = { status, metadata: metadataFilter(c.req.queries()) };
    const { found, next } = await scan(c.get("tenant"), after ?? null, limit, filter);
    const data = await Promise.all(found.map((state) => describeJob(state, estimates)));
    return jsonUnlessKnown(c, { object: "list" as const, data, has_more: next !== null, next_cursor: next });
  });
};

const matches = (state: JobState, { status, metadata }: Filter): boolean =>
  (status === undefined || status.includes(state.status)) &&
  metadata.every(([name, value]) => state.metadata[name] === value);

/** `metadata[name]=value` of a query. */
const metadataFilter = (query: Record<string, string[]>): [string, string][] =>
  Object.entries(query).flatMap(([parameter, values]): [string, string][] => {
    const name = /^metadata\[(.*)\]$/s.exec(parameter)?.[1];
    if (name === undefined) return [];
    if (name === "") throw badFilter("nameless", "`metadata[]` names no pair");
    if (name.includes("][")) throw badFilter("nested", "`metadata` is not nested");
    const [value = "", ...others] = values;
    if (others.length > 0) throw badFilter("repeated", `\`metadata[${name}]\` can have one value only`);
    return [[name, value]];
  });

const badFilter = (how: string, why: string): AppError =>
  new AppError("invalid_request", `${how} metadata filter`, {
    field: "metadata",
    detail: `${why}: filter by \`metadata[name]=value\`.`,
  });
