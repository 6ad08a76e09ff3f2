import { createRoute, z } from "@hono/zod-openapi";
import { createRouter, problemResponses } from "../http/router.ts";
import type { Backlog } from "../state/jobs/backlog.ts";

export const Scaling = z
  .object({
    object: z.literal("scaling"),
    jobs: z.int().meta({ description: "Jobs that are not over, waiting or running." }),
    backlog_gpu_seconds: z
      .number()
      .meta({ description: "What they will ask of one GPU, estimated from their tokens." }),
    oldest_age_seconds: z.number().meta({ description: "Since the oldest of them was made; 0 if there is none." }),
    wanted_workers: z.int().meta({ description: "Workers that would clear the backlog in `target_seconds`." }),
  })
  .meta({ id: "Scaling" });

const Query = z.object({
  target_seconds: z.coerce
    .number()
    .min(1e-6)
    .default(600)
    .meta({ description: "The wait that is accepted, in seconds of work for each worker." }),
  // At least 1, so that an empty value, which counts as 0, is refused.
  max_workers: z.coerce.number().int().min(1).max(1_000_000).optional(),
});

const scaling = createRoute({
  method: "get",
  path: "/v1/scaling",
  summary: "How much work waits, for whoever starts and stops workers",
  request: { query: Query },
  responses: {
    200: { description: "Measured at most 10 s ago.", content: { "application/json": { schema: Scaling } } },
    ...problemResponses(400, 503),
  },
});

type Deps = { backlog: () => Promise<Backlog>; now: () => number };

/** For KEDA's metrics-api scaler, RunPod, Modal, or a cron job on bare metal. */
export const scalingRoutes = ({ backlog, now }: Deps) =>
  createRouter().openapi(scaling, async (c) => {
    const { target_seconds: target, max_workers: max = Number.POSITIVE_INFINITY } = c.req.valid("query");
    const { jobs, gpuSeconds, oldestMs } = await backlog();
    return c.json(
      {
        object: "scaling" as const,
        jobs,
        backlog_gpu_seconds: Math.round(gpuSeconds * 1000) / 1000,
        oldest_age_seconds: oldestMs === null ? 0 : Math.max(0, (now() - oldestMs) / 1000),
        wanted_workers: Math.min(max, Math.ceil(gpuSeconds / target)),
      },
      200,
    );
  });
