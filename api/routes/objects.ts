import { type Context, Hono } from "hono";
import { AppError } from "../contract/errors.ts";
import { payloadTooLarge } from "../http/body-limits.ts";
import type { AppEnv } from "../http/router.ts";
import { bounded } from "../state/byte-streams.ts";
import { type ObjectUrls, objectsPath } from "../state/embedded/object-urls.ts";
import type { ObjectStore } from "../state/object-store.ts";

const REFUSALS = {
  signature: "The URL was not made by this service for this method, or was changed.",
  expired: "The URL has expired: ask for a new one.",
};

type Deps = { objects: ObjectStore; urls: ObjectUrls; maxBytes: number };

/** Presigned URLs of the embedded store, which S3 would serve itself. The signature is the only permission asked for. */
export function objectRoutes({ objects, urls, maxBytes }: Deps) {
  function permittedKey(c: Context, method: "GET" | "PUT"): string {
    const verified = urls.verify(method, new URL(c.req.url));
    if ("key" in verified) return verified.key;
    throw new AppError("url_refused", `presigned URL: ${verified.refused}`, { detail: REFUSALS[verified.refused] });
  }

  return new Hono<AppEnv>()
    .get(`${objectsPath}*`, async (c) => {
      const object = await objects.getStream(permittedKey(c, "GET"));
      if (object === null)
        throw new AppError("not_found", "presigned object is gone", { detail: "There is no such object." });
      // Whatever the bytes are, no browser is to run them in the name of this service.
      return c.body(object.body, 200, {
        "Content-Length": String(object.bytes),
        "Content-Type": "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
        ETag: `"${object.etag}"`,
      });
    })
    .put(`${objectsPath}*`, async (c) => {
      const key = permittedKey(c, "PUT");
      const { etag } = await objects.putStream(
        key,
        bounded(c.req.raw.body, maxBytes, () => payloadTooLarge(maxBytes)),
      );
      return c.body(null, 200, { ETag: `"${etag}"` });
    });
}
