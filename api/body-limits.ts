import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { AppError } from "./contract/errors.ts";
import { limits } from "./contract/limits.ts";
import type { AppEnv } from "./router.ts";

/** Reads no more of a body than the limit. Not for routes that stream: they count for themselves. */
export const limitBody = bodyLimit({
  maxSize: limits.requestBodyBytes,
  onError: () => {
    throw payloadTooLarge(limits.requestBodyBytes);
  },
});

/** Refuses JSON nested so deeply that walking through it could exhaust the stack, before anything parses it. */
export const limitDepth: MiddlewareHandler<AppEnv> = async (c, next) => {
  if (/^application\/(?:[\w.-]+\+)?json\b/i.test(c.req.header("content-type") ?? "")) {
    if (exceedsDepth(await c.req.text(), limits.jsonDepth)) {
      throw new AppError("json_too_deep", "JSON nested too deeply", {
        detail: `Arrays and objects may be nested ${limits.jsonDepth} deep: flatten the body.`,
        extra: { limit_depth: limits.jsonDepth },
      });
    }
  }
  await next();
};

export function exceedsDepth(json: string, limit: number): boolean {
  let depth = 0;
  // Strings as a whole, since brackets in them do not nest.
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"?|[[\]{}]/gs)) {
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth -= 1;
    if (depth > limit) return true;
  }
  return false;
}

const payloadTooLarge = (limitBytes: number): AppError =>
  new AppError("payload_too_large", "body over the limit", {
    detail: `A body may have ${limitBytes.toLocaleString("en-US")} bytes at most: send less.`,
    extra: { limit_bytes: limitBytes },
  });
