import { createRoute, z } from "@hono/zod-openapi";
import type { TypedResponse } from "hono";
import { keys } from "../../contract/keys.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { shardOfResults } from "../../state/batches/batch-parts.ts";
import { resultPieces } from "../../state/batches/batch-results.ts";
import type { BatchDeps } from "./batch-deps.ts";
import { readBatch } from "./describe-batch.ts";

const getResults = createRoute({
  method: "get",
  path: "/v1/batches/{id}/results",
  summary: "The lines of a batch that have a result by now",
  description:
    "Not OpenAI's. Each line is as it will be in the output or the error file, which together are all of these. " +
    "`X-Next-Cursor` of an answer, given as `after`, leaves out what that answer had.",
  request: {
    params: z.object({ id: z.string() }),
    query: z.object({
      after: z
        .string()
        .regex(/^(?:[0-9a-z]{1,4}-[0-9a-z]{1,8}(?:_(?!$)|$))*$/, "must be an `X-Next-Cursor`, unchanged")
        .optional(),
    }),
  },
  responses: {
    200: {
      description: "BatchOutputLine, one a line, in no order.",
      headers: z.object({ "X-Next-Cursor": z.string() }),
      content: { "application/jsonl": { schema: z.string() } },
    },
    ...problemResponses(400, 404),
  },
});

type Piece = { shard: number; start: number; end: number };

/** How far the results of each shard were read: they only grow, so what lies before stays as it was. */
const parseCursor = (after: string): Map<number, number> =>
  new Map(
    after
      .split("_")
      .filter((part) => part !== "")
      .map((part) => {
        const [shard = "0", bytes = "0"] = part.split("-");
        return [Number.parseInt(shard, 36), Number.parseInt(bytes, 36)];
      }),
  );

const formatCursor = (pieces: Piece[]): string =>
  pieces.map(({ shard, end }) => `${shard.toString(36)}-${end.toString(36)}`).join("_");

export const batchResultsRoute = ({ batches, objects }: BatchDeps) =>
  createRouter().openapi(getResults, async (c) => {
    const batch = await readBatch(batches, c.get("tenant"), c.req.valid("param").id);
    const read = parseCursor(c.req.valid("query").after ?? "");
    const pieces = (await batches.parts.listResults(batch)).map(({ key, bytes }): Piece => {
      const shard = shardOfResults(key);
      return { shard, start: Math.min(bytes, read.get(shard) ?? 0), end: bytes };
    });

    async function* body(): AsyncGenerator<Uint8Array> {
      for (const { shard, start, end } of pieces) {
        yield* resultPieces(objects, keys.batchResults(batch.tenant, batch.id, shard), start, end);
      }
    }
    const headers = { "Content-Type": "application/jsonl", "X-Next-Cursor": formatCursor(pieces) };
    // The framework's type for a body knows only whole ones.
    return new Response(ReadableStream.from(body()), { headers }) as Response & TypedResponse<string, 200, "json">;
  });
