import { createRoute, z } from "@hono/zod-openapi";
import type { TypedResponse } from "hono";
import { Document, type DocumentInfo, Download } from "../../contract/document.ts";
import { limits } from "../../contract/limits.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { describeDocument, documentNotFound } from "./describe-document.ts";
import type { DocumentDeps } from "./document-deps.ts";

const params = z.object({ id: z.string() });

const getDocument = createRoute({
  method: "get",
  path: "/v1/documents/{id}",
  summary: "Look a stored document up",
  request: { params },
  responses: {
    200: { description: "The document.", content: { "application/json": { schema: Document } } },
    ...problemResponses(404),
  },
});

const getText = createRoute({
  method: "get",
  path: "/v1/documents/{id}/text",
  summary: "The text that jobs read",
  request: { params },
  responses: {
    200: { description: "The text.", content: { "text/plain": { schema: z.string() } } },
    ...problemResponses(404),
  },
});

const getDownload = createRoute({
  method: "get",
  path: "/v1/documents/{id}/download",
  summary: "A URL to download the document from, without an API key, for an hour",
  request: {
    params,
    query: z.object({
      of: z.enum(["source", "text"]).default("source").meta({ description: "What was sent, or the text made of it." }),
    }),
  },
  responses: {
    200: { description: "The URL.", content: { "application/json": { schema: Download } } },
    ...problemResponses(400, 404),
  },
});

const deleteDocument = createRoute({
  method: "delete",
  path: "/v1/documents/{id}",
  summary: "Remove a document with everything derived from it",
  description: "Jobs that have not read it yet fail. Answers stay with their jobs.",
  request: { params },
  responses: { 204: { description: "It is gone." }, ...problemResponses(404) },
});

export const readDocumentRoutes = ({ documents, now }: DocumentDeps) => {
  async function read(tenant: string, id: string): Promise<DocumentInfo> {
    const info = await documents.getDocumentInfo(tenant, id);
    if (info === null) throw documentNotFound(id);
    return info;
  }

  return createRouter()
    .openapi(getDocument, async (c) =>
      c.json(describeDocument(await read(c.get("tenant"), c.req.valid("param").id)), 200),
    )
    .openapi(getText, async (c) => {
      const { id } = await read(c.get("tenant"), c.req.valid("param").id);
      const text = await documents.streamText(c.get("tenant"), id);
      if (text === null) throw documentNotFound(id);
      const headers = { "Content-Type": "text/plain; charset=utf-8" };
      // The framework's type for text knows only whole strings.
      return new Response(text, { headers }) as Response & TypedResponse<string, 200, "text">;
    })
    .openapi(getDownload, async (c) => {
      const info = await read(c.get("tenant"), c.req.valid("param").id);
      const url = await documents.presign(c.get("tenant"), info, c.req.valid("query").of, limits.presignSeconds);
      const expires_at = Math.floor(now() / 1000) + limits.presignSeconds;
      return c.json({ object: "download" as const, url: new URL(url, c.req.url).toString(), expires_at }, 200);
    })
    .openapi(deleteDocument, async (c) => {
      const { id } = c.req.valid("param");
      if (!(await documents.delete(c.get("tenant"), id))) throw documentNotFound(id);
      return c.body(null, 204);
    });
};
