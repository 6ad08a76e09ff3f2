import { createRoute, z } from "@hono/zod-openapi";
import { DocumentList } from "../../contract/document.ts";
import { limits } from "../../contract/limits.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { DOCUMENT_CURSOR } from "../../state/documents/document-store.ts";
import { describeDocument } from "./describe-document.ts";
import type { DocumentDeps } from "./document-deps.ts";

const listDocuments = createRoute({
  method: "get",
  path: "/v1/documents",
  summary: "Documents, newest first",
  request: {
    query: z.object({
      limit: z.coerce.number().int().min(1).max(limits.listPage).default(20),
      after: z
        .string()
        .regex(DOCUMENT_CURSOR, "must be the `next_cursor` of an earlier page, unchanged")
        .optional()
        .meta({ description: "`next_cursor` of the page before." }),
    }),
  },
  responses: {
    200: { description: "A page.", content: { "application/json": { schema: DocumentList } } },
    ...problemResponses(400),
  },
});

export const listDocumentsRoute = ({ documents }: DocumentDeps) =>
  createRouter().openapi(listDocuments, async (c) => {
    const { limit, after } = c.req.valid("query");
    const page = await documents.list(c.get("tenant"), { after: after ?? null, limit });
    const data = page.items.map(describeDocument);
    return c.json({ object: "list" as const, data, has_more: page.next !== null, next_cursor: page.next }, 200);
  });
