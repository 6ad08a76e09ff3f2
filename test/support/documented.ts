import type { createApp } from "../../api/app.ts";
import { describeApi } from "../../api/openapi.ts";

type App = ReturnType<typeof createApp>;
type Paths = Record<string, Record<string, { responses: Record<string, unknown> }>>;

/** The same for every app of a process, and slow to make. */
let documentedStatuses: ReturnType<typeof statusesOf> | undefined;

/** Holds every answer of an app against its OpenAPI: a status that an operation does not document fails the test. */
export function onlyDocumented(app: App): App["request"] {
  return async (...args) => {
    const response = await app.request(...args);
    documentedStatuses ??= statusesOf(describeApi(app).paths as Paths);
    const [input, init] = args;
    const { pathname } = new URL(input instanceof Request ? input.url : String(input), "http://localhost");
    const method = (input instanceof Request ? input.method : (init?.method ?? "GET")).toLowerCase();
    const documented = documentedStatuses(method, pathname);
    if (documented !== null && !documented.includes(String(response.status))) {
      throw new Error(`${method} ${pathname} answered ${response.status}, which its OpenAPI does not document`);
    }
    return response;
  };
}

/** The documented statuses of an operation; null where there is none. */
function statusesOf(paths: Paths) {
  const operations = Object.entries(paths).flatMap(([template, item]) =>
    Object.entries(item).map(([method, { responses }]) => ({
      method,
      template,
      pattern: new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
      statuses: Object.keys(responses),
    })),
  );
  return (method: string, path: string): string[] | null => {
    const matching = operations.filter((operation) => operation.method === method && operation.pattern.test(path));
    return (matching.find(({ template }) => template === path) ?? matching[0])?.statuses ?? null;
  };
}
