import { createRoute, z } from "@hono/zod-openapi";
import { Batch, BatchList } from "../contract/batch-resource.ts";
import { limits } from "../contract/limits.ts";
import { createRouter, problemResponses } from "../http/router.ts";
import type { BatchDeps } from "./batches/batch-deps.ts";
import { batchResultsRoute } from "./batches/batch-results.ts";
import { cancelBatchRoute } from "./batches/cancel-batch.ts";
import { createBatchRoute } from "./batches/create-batch.ts";
import { describeBatch, readBatch } from "./batches/describe-batch.ts";
import { edges } from "./list-edges.ts";

const listBatches = createRoute({
  method: "get",
  path: "/v1/batches",
  summary: "Batches, newest first",
  request: {
    query: z.object({
      limit: z.coerce.number().int().min(1).max(limits.listPage).default(20),
      after: z.string().optional().meta({ description: "`last_id` of the page before." }),
    }),
  },
  responses: {
    200: { description: "A page.", content: { "application/json": { schema: BatchList } } },
    ...problemResponses(400, 404),
  },
});

const getBatch = createRoute({
  method: "get",
  path: "/v1/batches/{id}",
  summary: "How far a batch is",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: { description: "The batch.", content: { "application/json": { schema: Batch } } },
    ...problemResponses(404),
  },
});

export const batchRoutes = (deps: BatchDeps) => {
  const { batches } = deps;
  return createRouter()
    .route("/", createBatchRoute(deps))
    .route("/", cancelBatchRoute(deps))
    .route("/", batchResultsRoute(deps))
    .openapi(listBatches, async (c) => {
      const tenant = c.get("tenant");
      const { limit, after } = c.req.valid("query");
      const from = after === undefined ? null : await readBatch(batches, tenant, after, "after");
      const { items, next } = await batches.list(tenant, { after: from, limit });
      const data = await Promise.all(items.map((state) => describeBatch(state, deps)));
      return c.json({ object: "list" as const, data, ...edges(data), has_more: next !== null }, 200);
    })
    .openapi(getBatch, async (c) => {
      const state = await readBatch(batches, c.get("tenant"), c.req.valid("param").id);
      return c.json(await describeBatch(state, deps), 200);
    });
};
