// Every operation and status that the OpenAPI documents is answered, as it is documented: one test each. A route that
// documents a status needs a case here that provokes it.
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { batchCases } from "../support/statuses/batches.ts";
import type { Case } from "../support/statuses/case.ts";
import { commonCases, type Operation } from "../support/statuses/common.ts";
import { documentCases } from "../support/statuses/documents.ts";
import { fileCases } from "../support/statuses/files.ts";
import { jobCases } from "../support/statuses/jobs.ts";
import { serviceCases } from "../support/statuses/service.ts";
import { openTestApp } from "../support/test-app.ts";

const CASES = { ...jobCases, ...documentCases, ...fileCases, ...batchCases, ...serviceCases };

const Content = z.record(z.string(), z.looseObject({ schema: z.looseObject({}) }));
const Described = z.object({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.looseObject({
        security: z.array(z.record(z.string(), z.array(z.string()))).default([]),
        requestBody: z.looseObject({ content: Content }).optional(),
        responses: z.record(z.string(), z.looseObject({ content: Content.optional() })),
      }),
    ),
  ),
  components: z.looseObject({ schemas: z.record(z.string(), z.looseObject({})) }),
});

const { paths, components } = await (async () => {
  await using app = await openTestApp();
  // Zod reads JSON schemas, whose references are to `$defs`.
  const json = await (await app.get("/openapi.json")).text();
  return Described.parse(JSON.parse(json.replaceAll("#/components/schemas/", "#/$defs/")));
})();

const operations = Object.entries(paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, { security, requestBody, responses }]) => {
    const scope = (security[0]?.api_key?.[0] ?? null) as Operation["scope"];
    const operation = {
      method: method.toUpperCase(),
      path,
      scope,
      mediaTypes: Object.keys(requestBody?.content ?? {}),
    };
    const name = `${operation.method} ${path}`;
    const cases: Record<number, Case> = { ...commonCases(operation), ...CASES[name] };
    return { name, cases, responses };
  }),
);

describe.each(operations)("$name", ({ cases, responses }) => {
  it("documents every status that there is a case of", () => {
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(Object.keys(cases)));
  });

  it.each(Object.keys(responses))("%s", async (status) => {
    const provoked = cases[Number(status)];
    if (provoked === undefined) throw new Error("documented, and no case in test/support/statuses provokes it");
    const { app: options, ask } = typeof provoked === "function" ? { app: {}, ask: provoked } : provoked;
    await using app = await openTestApp(options);
    const response = await ask(app);
    expect(response.status).toBe(Number(status));
    const type = response.headers.get("content-type")?.split(";")[0];
    const { content = {} } = responses[status] ?? {};
    if (Object.keys(content).length === 0) {
      expect([type, await response.text()]).toEqual([undefined, ""]);
      return;
    }
    expect(Object.keys(content)).toContain(type);
    if (!type?.endsWith("json")) return;
    const schema = { ...content[type]?.schema, $defs: components.schemas };
    const parsed = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(await response.json());
    expect(parsed.error?.issues ?? []).toEqual([]);
  });
});

it("has no case of an operation that there is not", () => {
  expect(operations.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(CASES)));
});
