import { createParser } from "eventsource-parser";
import { z } from "zod";
import type { TestApp } from "./test-app.ts";

type Event = { data: string; event: string; id?: string | undefined };

const MEDIA_TYPE = "text/event-stream";
const Content = z.record(z.string(), z.object({ schema: z.looseObject({}), example: z.unknown().optional() }));
const Described = z.object({
  paths: z.record(
    z.string(),
    z.record(z.string(), z.object({ responses: z.record(z.string(), z.object({ content: Content.optional() })) })),
  ),
  components: z.object({ schemas: z.record(z.string(), z.looseObject({})) }),
});

/** Every event stream that the OpenAPI of an app documents, by its operation. `fits` holds one event against it. */
export async function describedStreams(app: TestApp) {
  // Zod reads JSON schemas, whose references are to `$defs`.
  const json = await (await app.get("/openapi.json")).text();
  const { paths, components } = Described.parse(JSON.parse(json.replaceAll("#/components/schemas/", "#/$defs/")));
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { responses }]) =>
      Object.values(responses).flatMap(({ content }) => {
        const { schema, example } = content?.[MEDIA_TYPE] ?? {};
        if (schema === undefined) return [];
        const fits = readerOf(schema, components.schemas);
        return [{ name: `${method.toUpperCase()} ${path}`, schema, example, fits }];
      }),
    ),
  );
}

/** The events in a stream, as the HTML standard reads them. */
export function eventsIn(stream: string): Event[] {
  const events: Event[] = [];
  const parser = createParser({ onEvent: ({ event = "message", ...rest }) => events.push({ event, ...rest }) });
  parser.feed(stream);
  return events;
}

/** JSON Schema leaves it to the reader of a text to hold what is in it against `contentSchema`; here that is done. */
function readerOf(schema: object, $defs: object) {
  const event = z.fromJSONSchema({ ...contentRead(schema), $defs } as Parameters<typeof z.fromJSONSchema>[0]);
  return ({ data, ...rest }: Event): boolean =>
    // What is no JSON, or stands for itself, is held as the text that it is.
    [data, jsonOr(data)].some((held) => event.safeParse({ ...rest, data: held }).success);
}

function contentRead(schema: unknown): any {
  if (Array.isArray(schema)) return schema.map(contentRead);
  if (typeof schema !== "object" || schema === null) return schema;
  if ("contentSchema" in schema) return schema.contentSchema;
  return Object.fromEntries(Object.entries(schema).map(([keyword, value]) => [keyword, contentRead(value)]));
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
