import { createRoute, z } from "@hono/zod-openapi";
import type { BatchState } from "../../contract/batch.ts";
import { Batch } from "../../contract/batch-resource.ts";
import { AppError } from "../../contract/errors.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { advanceBatch } from "../../state/batches/batch-record.ts";
import type { BatchDeps } from "./batch-deps.ts";
import { describeBatch, readBatch } from "./describe-batch.ts";

const cancelBatch = createRoute({
  method: "post",
  path: "/v1/batches/{id}/cancel",
  summary: "Stop a batch",
  description:
    "Lines that wait are not run any more, those that run are stopped, and those that were answered stay answered: the " +
    "batch is `cancelling`, and `cancelled` as soon as its files are written.",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: { description: "The batch.", content: { "application/json": { schema: Batch } } },
    ...problemResponses(404, 409),
  },
});

/** Jobs that are cancelled at the same time. */
const AT_ONCE = 16;

export const cancelBatchRoute = (deps: BatchDeps) => {
  const { batches, batchEnd, jobs, now } = deps;

  /** Repeating it goes on where an earlier try broke off. */
  async function cancelParts(batch: BatchState): Promise<void> {
    const open = await batches.parts.listOpen(batch);
    const lane = async (): Promise<void> => {
      for (let part = open.shift(); part !== undefined; part = open.shift()) await jobs.cancel(batch.tenant, part.job);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    await batchEnd.endIfLast(batch);
  }

  return createRouter().openapi(cancelBatch, async (c) => {
    const tenant = c.get("tenant");
    const { id } = c.req.valid("param");
    await readBatch(batches, tenant, id);
    const batch = await batches.change(tenant, id, (current) => advanceBatch(current, "cancelling", now()));
    if (batch?.status === "cancelling") await cancelParts(batch);
    else if (batch?.status !== "cancelled") throw isOver(id, batch?.status ?? "gone");
    return c.json(await describeBatch(await readBatch(batches, tenant, id), deps), 200);
  });
};

const isOver = (id: string, status: string): AppError =>
  new AppError("batch_over", `batch ${id} is ${status}`, {
    detail: `Batch \`${id}\` is ${status}, so there is nothing left to cancel.`,
    extra: { batch_status: status },
  });
