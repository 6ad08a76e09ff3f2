import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { counted } from "../contract/counted.ts";
import { AppError } from "../contract/errors.ts";
import { jsonFault } from "../contract/json-shape.ts";
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

/** Refuses JSON that would cost far more than its bytes, before anything parses it. */
export const limitShape: MiddlewareHandler<AppEnv> = async (c, next) => {
  const fault = isJson(c.req.header("content-type")) ? jsonFault(await c.req.text(), limits.json) : null;
  if (fault !== null) throw shapeRefused(fault);
  await next();
};

const shapeRefused = (fault: "depth" | "values"): AppError =>
  fault === "depth"
    ? new AppError("json_too_deep", "JSON nested too deeply", {
        detail: `Arrays and objects may be nested ${limits.json.depth} deep: flatten the body.`,
        extra: { limit_depth: limits.json.depth },
      })
    : new AppError("json_too_many_values", "JSON of too many values", {
        detail: `A body may have ${counted(limits.json.values, "value")}: put text into fewer of them, or send several.`,
        extra: { limit_values: limits.json.values },
      });

export const payloadTooLarge = (limitBytes: number): AppError =>
  new AppError("payload_too_large", "body over the limit", {
    detail: `A body may have ${counted(limitBytes, "byte")} at most: send less.`,
    extra: { limit_bytes: limitBytes },
  });
