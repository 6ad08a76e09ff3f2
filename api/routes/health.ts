import { createRoute, z } from "@hono/zod-openapi";
import { createRouter, problemResponses } from "../http/router.ts";

const Health = z.object({ status: z.literal("ok") });
const ok = { 200: { description: "It is.", content: { "application/json": { schema: Health } } } };

const healthz = createRoute({
  method: "get",
  path: "/healthz",
  summary: "Is the process alive?",
  responses: ok,
});

const readyz = createRoute({
  method: "get",
  path: "/readyz",
  summary: "Can the process reach its object store and queue?",
  responses: { ...ok, ...problemResponses(503) },
});

/** `checkReady` throws AppError `unavailable` where the service cannot take jobs. */
export const healthRoutes = (checkReady: () => Promise<void>) =>
  createRouter()
    .openapi(healthz, (c) => c.json({ status: "ok" as const }, 200))
    .openapi(readyz, async (c) => {
      await checkReady();
      return c.json({ status: "ok" as const }, 200);
    });
