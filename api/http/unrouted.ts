import type { Context } from "hono";
import { anyOf } from "../contract/counted.ts";
import { AppError } from "../contract/errors.ts";
import type { createRouter } from "./router.ts";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/** Why nothing handles this request: 405 if another method would be handled, and otherwise 404. */
export function unroutedError({ router }: Pick<ReturnType<typeof createRouter>, "router">, c: Context): AppError {
  const handling = METHODS.flatMap((method) =>
    router
      .match(method, c.req.path)[0]
      .map(([[, route]]) => route)
      .filter((route) => route.method === method),
  );
  // /v1/jobs/quote is itself, and not the job of that name.
  const own = handling.filter(({ path }) => path === c.req.path);
  const allowed = [...new Set((own.length > 0 ? own : handling).map(({ method }) => method))];
  if (allowed.length === 0) {
    return new AppError("not_found", `no route ${c.req.path}`, {
      detail: `There is nothing at ${c.req.path}: /docs and /openapi.json say what there is.`,
    });
  }
  if (allowed.includes("GET")) allowed.push("HEAD");
  c.header("Allow", allowed.join(", "));
  return new AppError("method_not_allowed", `${c.req.method} ${c.req.path}`, {
    detail: `${c.req.method} is not allowed at ${c.req.path}: use ${anyOf(allowed)}.`,
  });
}
