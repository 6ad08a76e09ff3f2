import { createRoute, z } from "@hono/zod-openapi";
import type { TypedResponse } from "hono";
import { AppError } from "../contract/errors.ts";
import { DeletedFile, File, type FileInfo, FileList } from "../contract/file.ts";
import { limits } from "../contract/limits.ts";
import { createRouter, problemResponses } from "../http/router.ts";
import type { FileStore } from "../state/files/file-store.ts";
import { createFileRoute } from "./files/create-file.ts";
import { describeFile, fileNotFound } from "./files/describe-file.ts";
import { edges } from "./list-edges.ts";

const params = z.object({ id: z.string() });

const listFiles = createRoute({
  method: "get",
  path: "/v1/files",
  summary: "Files, newest first",
  request: {
    query: z.object({
      limit: z.coerce.number().int().min(1).max(limits.fileListPage).default(limits.fileListPage),
      after: z.string().optional().meta({ description: "`last_id` of the page before." }),
      order: z.enum(["asc", "desc"]).default("desc"),
      purpose: z.string().optional(),
    }),
  },
  responses: {
    200: { description: "A page.", content: { "application/json": { schema: FileList } } },
    ...problemResponses(400, 404),
  },
});

const getFile = createRoute({
  method: "get",
  path: "/v1/files/{id}",
  summary: "What is known of a file",
  request: { params },
  responses: {
    200: { description: "The file.", content: { "application/json": { schema: File } } },
    ...problemResponses(404),
  },
});

const getContent = createRoute({
  method: "get",
  path: "/v1/files/{id}/content",
  summary: "The content of a file",
  request: { params },
  responses: {
    200: { description: "As it was uploaded or made.", content: { "application/jsonl": { schema: z.string() } } },
    ...problemResponses(404),
  },
});

const deleteFile = createRoute({
  method: "delete",
  path: "/v1/files/{id}",
  summary: "Delete a file",
  description: "A batch that was made of it goes on: it has a copy.",
  request: { params },
  responses: {
    200: { description: "It is gone.", content: { "application/json": { schema: DeletedFile } } },
    ...problemResponses(404),
  },
});

export const fileRoutes = ({ files }: { files: FileStore }) => {
  async function read(tenant: string, id: string): Promise<FileInfo> {
    const info = await files.get(tenant, id);
    if (info === null) throw fileNotFound(id);
    return info;
  }

  return createRouter()
    .route("/", createFileRoute(files))
    .openapi(listFiles, async (c) => {
      const tenant = c.get("tenant");
      const { after: afterId, ...page } = c.req.valid("query");
      const after = afterId === undefined ? null : await files.get(tenant, afterId);
      if (after === null && afterId !== undefined) throw fileNotFound(afterId, "after");
      const { items, next } = await files.list(tenant, { ...page, purpose: page.purpose, after });
      const data = items.map(describeFile);
      return c.json({ object: "list" as const, data, ...edges(data), has_more: next !== null }, 200);
    })
    .openapi(getFile, async (c) => c.json(describeFile(await read(c.get("tenant"), c.req.valid("param").id)), 200))
    .openapi(getContent, async (c) => {
      const info = await read(c.get("tenant"), c.req.valid("param").id);
      const content = await files.stream(c.get("tenant"), info.id);
      if (content === null) throw new AppError("unavailable", `the content of file ${info.id} is gone`);
      const headers = { "Content-Type": "application/jsonl", "Content-Length": String(content.bytes) };
      // The framework's type for a body knows only whole ones.
      return new Response(content.body, { headers }) as Response & TypedResponse<string, 200, "json">;
    })
    .openapi(deleteFile, async (c) => {
      const { id } = c.req.valid("param");
      if (!(await files.delete(c.get("tenant"), id))) throw fileNotFound(id);
      return c.json({ object: "file" as const, id, deleted: true as const }, 200);
    });
};
