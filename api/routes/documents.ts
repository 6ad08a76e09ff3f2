import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { CreateDocument, Document } from "../contract/document.ts";
import { AppError } from "../contract/errors.ts";
import { mediaTypes } from "../media-types.ts";
import { createRouter, problemResponses } from "../router.ts";
import type { DocumentStore } from "../state/document-store.ts";

const postDocument = createRoute({
  method: "post",
  path: "/v1/documents",
  summary: "Store a text that many jobs can name",
  middleware: mediaTypes("application/json", "text/plain"),
  request: {
    // Not marked as required: the JSON schema would then be held against plain text too.
    body: {
      content: {
        "application/json": { schema: CreateDocument },
        "text/plain": { schema: z.string().min(1) },
      },
    },
  },
  responses: {
    201: { description: "Stored.", content: { "application/json": { schema: Document } } },
    ...problemResponses(400, 413, 415),
  },
});

const getDocument = createRoute({
  method: "get",
  path: "/v1/documents/{id}",
  summary: "Look a stored text up",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    200: { description: "The document.", content: { "application/json": { schema: Document } } },
    ...problemResponses(404),
  },
});

type Deps = { documents: DocumentStore };

export const documentRoutes = ({ documents }: Deps) => {
  async function describe(tenant: string, id: string): Promise<Document> {
    const info = await documents.getDocumentInfo(tenant, id);
    if (info === null) throw documentNotFound(id);
    return { object: "document", id, bytes: info.bytes, created_at: info.created_ms / 1000 };
  }

  return createRouter()
    .openapi(postDocument, async (c) => {
      // Only a JSON body is validated: beside it `valid` gives an empty object.
      const body = c.req.valid("json");
      const text = typeof body === "object" && "text" in body ? body.text : await plainText(c);
      const tenant = c.get("tenant");
      const { id } = await documents.putDocument(tenant, text);
      return c.json(await describe(tenant, id), 201, { Location: `/v1/documents/${id}` });
    })
    .openapi(getDocument, async (c) => c.json(await describe(c.get("tenant"), c.req.valid("param").id), 200));
};

async function plainText(c: Context): Promise<string> {
  const text = decodeUtf8(await c.req.arrayBuffer());
  if (text.length > 0) return text;
  throw new AppError("invalid_request", "empty document", { field: "body", detail: "`body` is empty: send the text." });
}

function decodeUtf8(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const detail = "`body` is not UTF-8: convert the text.";
    throw new AppError("invalid_request", "document is not UTF-8", { field: "body", detail, cause });
  }
}

export const documentNotFound = (id: string, field?: string): AppError =>
  new AppError("document_not_found", `no document ${id}`, {
    detail: `There is no document \`${id}\`: send its text to POST /v1/documents first.`,
    ...(field === undefined ? {} : { field }),
  });
