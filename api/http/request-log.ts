import type { MiddlewareHandler } from "hono";
import type { AppEnv } from "./router.ts";

/** As much of pino as the app uses. */
export type Log = { info(fields: object, message: string): void; error(fields: object, message: string): void };

/** One log line a request, which names the API key that it used. Only the path is logged of what the client sent. */
export function logRequests({ newId, log }: { newId: () => string; log: Log }): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const started = performance.now();
    c.set("requestId", newId());
    await next();
    // Not by c.header, which would make the finished body a stream.
    c.res.headers.set("X-Request-Id", c.get("requestId"));
    const ms = Math.round(performance.now() - started);
    const { tenant, key } = c.get("caller") ?? {};
    log.info(
      { request_id: c.get("requestId"), tenant, key, method: c.req.method, path: c.req.path, status: c.res.status, ms },
      "request",
    );
  };
}
