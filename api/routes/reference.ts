import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Hono, type MiddlewareHandler } from "hono";
import { secureHeaders } from "hono/secure-headers";
import type { AppEnv } from "../http/router.ts";

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Gnomon API reference</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/docs/swagger-ui.css">
  </head>
  <body>
    <div id="reference"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

/** Without the validator that Swagger UI would otherwise ask on the Internet. */
const START = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  persistAuthorization: false,
});
`;

const ASSETS = { "swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript" };

/** Swagger UI sets styles on elements, and draws its icons from data URLs. It talks to this service only. */
const pagePolicy = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", "data:"],
    fontSrc: ["'self'", "data:"],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
}) as MiddlewareHandler<AppEnv>;

/** The reference page, all of it from this machine. */
export function referenceRoutes() {
  const router = new Hono<AppEnv>()
    // Whoever opens the service in a browser.
    .get("/", (c) =>
      c.text("The reference is at /docs, and as OpenAPI at /openapi.json.\n", 302, { Location: "/docs" }),
    )
    .use("/docs", pagePolicy)
    .get("/docs", (c) => c.html(PAGE))
    .get("/docs/start.js", (c) => c.body(START, 200, { "Content-Type": "text/javascript; charset=utf-8" }));
  for (const [name, type] of Object.entries(ASSETS)) {
    let content: Promise<Buffer> | undefined;
    router.get(`/docs/${name}`, async (c) => {
      content ??= readFile(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`)));
      const headers = { "Content-Type": `${type}; charset=utf-8`, "Cache-Control": "public, max-age=86400" };
      return c.body(Uint8Array.from(await content), 200, headers);
    });
  }
  return router;
}
