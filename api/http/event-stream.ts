import type { z } from "@hono/zod-openapi";

const MEDIA_TYPE = "text/event-stream";

/** The 200 of an event stream. `event` is one event, its `data` read already; `example` a piece of the stream. */
export const eventStream = (event: z.ZodType, example: string) => ({ [MEDIA_TYPE]: { schema: event, example } });

type Schema = { [keyword: string]: unknown; oneOf?: Schema[]; anyOf?: Schema[]; properties?: { data?: Schema } };
export type Content = Partial<Record<string, { schema?: Schema }>>;

/**
 * OpenAPI 3.1 has no word for streams. As tools read it, the schema of `text/event-stream` is that of one event: the
 * object that the HTML standard makes of its lines, all of them text. What the JSON in `data` is, stands beside that.
 */
export function describeEventStream(content: Content): void {
  const stream = content[MEDIA_TYPE];
  if (stream?.schema) stream.schema = asSent(stream.schema);
}

function asSent(event: Schema): Schema {
  if (event.oneOf) return { ...event, oneOf: event.oneOf.map(asSent) };
  const { data } = event.properties ?? {};
  return data ? { ...event, properties: { ...event.properties, data: asText(data) } } : event;
}

function asText(data: Schema): Schema {
  if (data.anyOf) return { ...data, anyOf: data.anyOf.map(asText) };
  if (data.type === "string") return data;
  return { type: "string", contentMediaType: "application/json", contentSchema: data };
}
