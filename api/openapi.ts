import type { OpenAPIHono } from "@hono/zod-openapi";
import { ERRORS } from "./contract/errors.ts";
import { neededScope } from "./http/authorize.ts";
import { type Content, describeEventStream } from "./http/event-stream.ts";
import type { AppEnv } from "./http/router.ts";

type Document = ReturnType<OpenAPIHono<AppEnv>["getOpenAPI31Document"]>;
type Operation = {
  summary?: string;
  operationId?: string;
  tags?: string[];
  security?: Record<string, string[]>[];
  requestBody?: { required?: boolean };
  responses: Record<string, { content?: Content }>;
};

const METHODS = ["get", "post", "put", "patch", "delete"] as const;
const SCHEME = "api_key";

/** The routes as they describe themselves, with what holds for all of them: who may call, and how every call can fail. */
export function describeApi(app: OpenAPIHono<AppEnv>): Document {
  app.openAPIRegistry.registerComponent("securitySchemes", SCHEME, {
    type: "http",
    scheme: "bearer",
    bearerFormat: "gnk_TENANT_ID_SECRET",
    description:
      "An API key with the scope that the operation names. A service on loopback without any key asks for none.",
  });
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Gnomon",
      version: "1",
      description:
        "A job API for questions about long documents. Every error is a problem document (RFC 9457) whose `code` is stable.",
      license: { name: "Apache-2.0" },
    },
  });
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of METHODS) {
      const operation = (item as Partial<Record<string, Operation>>)[method];
      if (operation) complete(operation, method, path);
    }
  }
  return document;
}

function complete(operation: Operation, method: string, path: string): void {
  const scope = neededScope(method, path);
  operation.operationId ??= operationId(method, path);
  operation.tags ??= [scope === null ? "service" : (path.split("/")[2] ?? "")];
  // Every body is needed; a route that takes several types cannot say so itself (see create-document.ts).
  if (operation.requestBody) operation.requestBody.required = true;
  operation.security = scope === null ? [] : [{ [SCHEME]: [scope] }];
  for (const { content } of Object.values(operation.responses)) if (content) describeEventStream(content);
  const common = [...(scope === null ? [] : [401, 403, 503, 507]), ...(operation.requestBody ? [400, 413] : [])];
  for (const status of common) operation.responses[status] ??= problemOf(status);
}

/** `post /v1/jobs/{id}/cancel` is `postJobsByIdCancel`. */
const operationId = (method: string, path: string): string =>
  method +
  path
    .split("/")
    .filter((segment) => segment !== "" && segment !== "v1")
    .map((segment) => (segment.startsWith("{") ? "By" : "") + capital(segment.replace(/\W/g, "")))
    .join("");

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

const problemOf = (status: number) => ({
  description: Object.entries(ERRORS)
    .filter(([, error]) => error.status === status)
    .map(([code, { title }]) => `\`${code}\`: ${title}.`)
    .join(" "),
  content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
});
