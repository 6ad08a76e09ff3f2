import { createRoute, z } from "@hono/zod-openapi";
import { CreateDocument, Document, type DocumentInfo, DocumentType } from "../../contract/document.ts";
import { AppError } from "../../contract/errors.ts";
import { payloadTooLarge } from "../../http/body-limits.ts";
import { essenceOf, mediaTypes } from "../../http/media-types.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { bounded } from "../../state/byte-streams.ts";
import { describeDocument, emptyDocument } from "./describe-document.ts";
import type { DocumentDeps } from "./document-deps.ts";

/** Any bytes: what is wrong with them is found as they are read. */
const raw = { schema: z.unknown().meta({ description: "The document as it is." }) as unknown as z.ZodType<string> };

const postDocument = createRoute({
  method: "post",
  path: "/v1/documents",
  summary: "Store a document that many jobs can name",
  description:
    "Text, Markdown, HTML and PDF are sent as they are, of any size up to the service's limit; HTML and PDF are turned " +
    "to text. The same content is stored once, and has the same id again.",
  middleware: mediaTypes("application/json", ...DocumentType.options),
  request: {
    // A body is needed, and openapi.ts says so. Not marked as required: the JSON schema would then be held against the other types too.
    body: {
      content: {
        "application/json": { schema: CreateDocument },
        "text/plain": raw,
        "text/markdown": raw,
        "text/html": raw,
        "application/pdf": raw,
      },
    },
  },
  responses: {
    201: {
      description: "Stored.",
      headers: z.object({ Location: z.string().meta({ description: "The document." }) }),
      content: { "application/json": { schema: Document } },
    },
    200: {
      description: "It was stored before.",
      headers: z.object({ Location: z.string() }),
      content: { "application/json": { schema: Document } },
    },
    ...problemResponses(400, 413, 415, 422),
  },
});

export const createDocumentRoute = ({ documents, uploads, convert, maxDocumentBytes }: DocumentDeps) => {
  async function storeText(tenant: string, text: string): Promise<{ info: DocumentInfo; created: boolean }> {
    const { id, created } = await documents.putDocument(tenant, text);
    const info = await documents.getDocumentInfo(tenant, id);
    if (info === null) throw new AppError("unavailable", `document ${id} was deleted while it was stored`);
    return { info, created };
  }

  /** Never in memory as a whole. */
  async function storeStream(tenant: string, type: DocumentType, request: Request) {
    if (Number(request.headers.get("content-length")) > maxDocumentBytes) throw payloadTooLarge(maxDocumentBytes);
    const body = bounded(request.body, maxDocumentBytes, () => payloadTooLarge(maxDocumentBytes));
    const staged = await documents.stage(tenant, uploads.newId(), type, body);
    if (staged.bytes > 0) return documents.store(tenant, staged, convert);
    await documents.discard(staged);
    throw emptyDocument();
  }

  return createRouter().openapi(postDocument, async (c) => {
    // Only a JSON body is validated: beside it `valid` gives an empty object.
    const body = c.req.valid("json");
    const { info, created } =
      typeof body === "object" && "text" in body
        ? await storeText(c.get("tenant"), body.text)
        : await storeStream(c.get("tenant"), DocumentType.parse(essenceOf(c.req.header("content-type"))), c.req.raw);
    const document = describeDocument(info);
    const Location = document.urls.self;
    return created ? c.json(document, 201, { Location }) : c.json(document, 200, { Location });
  });
};
