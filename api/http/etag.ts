import { createHash } from "node:crypto";
import type { Context } from "hono";

/**
 * JSON with its ETag, or 304 where the client has it already. Not Hono's middleware, which reads the finished answer
 * back from a stream and takes longer than the whole of a small read.
 */
export function jsonUnlessKnown<T extends object>(c: Context, value: T) {
  const etag = `"${createHash("sha1").update(JSON.stringify(value)).digest("hex")}"`;
  c.header("ETag", etag);
  return isKnown(etag, c.req.header("if-none-match")) ? c.body(null, 304) : c.json(value, 200);
}

const isKnown = (etag: string, ifNoneMatch = ""): boolean =>
  ifNoneMatch.split(",").some((known) => [etag, "*"].includes(known.trim().replace(/^W\//, "")));
