import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { counted } from "../contract/counted.ts";
import { AppError } from "../contract/errors.ts";
import { exceedsDepth } from "../contract/json-depth.ts";
import { limits } from "../contract/limits.ts";
import { objectsPath } from "../state/embedded/object-urls.ts";
import type { AppEnv } from "./router.ts";

const limitBuffered = bodyLimit({
  maxSize: limits.requestBodyBytes,
  onError: () => {
    throw payloadTooLarge(limits.requestBodyBytes);
  },
});

/** Reads no more of a body than the limit. Routes that stream count for themselves, up to a limit of their own. */
export const limitBody: MiddlewareHandler<AppEnv> = (c, next) =>
  isStreamed(c.req.method, c.req.path, c.req.header("content-type")) ? next() : limitBuffered(c, next);

const isStreamed = (method: string, path: string, type: string | undefined): boolean =>
  (method === "POST" && path === "/v1/documents" && !isJson(type)) ||
  (method === "POST" && path === "/v1/files" && !isJson(type)) ||
  (method === "PUT" && path.startsWith(objectsPath));

const isJson = (type = ""): boolean => /^application\/(?:[\w.-]+\+)?json\b/i.test(type);

/** Refuses JSON nested so deeply that walking through it could exhaust the stack, before anything parses it. */
export const limitDepth: MiddlewareHandler<AppEnv> = async (c, next) => {
  if (isJson(c.req.header("content-type"))) {
    if (exceedsDepth(await c.req.text(), limits.jsonDepth)) {
      throw new AppError("json_too_deep", "JSON nested too deeply", {
        detail: `Arrays and objects may be nested ${limits.jsonDepth} deep: flatten the body.`,
        extra: { limit_depth: limits.jsonDepth },
      });
    }
  }
  await next();
};

export const payloadTooLarge = (limitBytes: number): AppError =>
  new AppError("payload_too_large", "body over the limit", {
    detail: `A body may have ${counted(limitBytes, "byte")} at most: send less.`,
    extra: { limit_bytes: limitBytes },
  });
