import { createRoute, z } from "@hono/zod-openapi";
import { CreateUpload, Document, Upload } from "../../contract/document.ts";
import { AppError } from "../../contract/errors.ts";
import { payloadTooLarge } from "../../http/body-limits.ts";
import { mediaTypes } from "../../http/media-types.ts";
import { createRouter, problemResponses } from "../../http/router.ts";
import { describeDocument, emptyDocument } from "./describe-document.ts";
import type { DocumentDeps } from "./document-deps.ts";

const postUpload = createRoute({
  method: "post",
  path: "/v1/uploads",
  summary: "A URL to send a large document to",
  description: "PUT the document to `url` within an hour, then POST to `urls.complete`.",
  middleware: mediaTypes("application/json"),
  request: { body: { required: true, content: { "application/json": { schema: CreateUpload } } } },
  responses: {
    201: { description: "Where to send it.", content: { "application/json": { schema: Upload } } },
    ...problemResponses(400, 413, 415),
  },
});

const headers = z.object({ Location: z.string() });
const content = { "application/json": { schema: Document } };

const completeUpload = createRoute({
  method: "post",
  path: "/v1/uploads/{id}/complete",
  summary: "Make what was uploaded a document",
  request: { params: z.object({ id: z.string() }) },
  responses: {
    201: { description: "Stored.", headers, content },
    200: { description: "It was stored before.", headers, content },
    ...problemResponses(400, 404, 409, 413, 422),
  },
});

export const uploadRoutes = ({ documents, uploads, convert, maxDocumentBytes }: DocumentDeps) =>
  createRouter()
    .openapi(postUpload, async (c) => {
      const { media_type } = c.req.valid("json");
      const { id, url, expires_ms } = await uploads.begin(c.get("tenant"), media_type);
      return c.json(
        {
          object: "upload" as const,
          id,
          media_type,
          method: "PUT" as const,
          url: new URL(url, c.req.url).toString(),
          expires_at: expires_ms / 1000,
          urls: { complete: `/v1/uploads/${id}/complete` },
        },
        201,
      );
    })
    .openapi(completeUpload, async (c) => {
      const { id } = c.req.valid("param");
      const tenant = c.get("tenant");
      const upload = await uploads.find(tenant, id);
      if (upload === null) {
        throw new AppError("upload_not_found", `no upload ${id}`, {
          detail: `There is no upload \`${id}\`: it was completed, or it never began.`,
        });
      }
      const bytes = await uploads.size(tenant, id);
      if (bytes === null) {
        throw new AppError("upload_incomplete", `upload ${id} has no body`, {
          detail: "Nothing has come yet: PUT the document to the upload's `url` first.",
        });
      }
      try {
        if (bytes === 0) throw emptyDocument();
        if (bytes > maxDocumentBytes) throw payloadTooLarge(maxDocumentBytes);
        const staged = await documents.stageUploaded(tenant, id, uploads.newId(), upload.media_type);
        if (staged === null) throw new AppError("unavailable", `upload ${id} is gone`);
        const { info, created } = await documents.store(tenant, staged, convert);
        await uploads.end(tenant, id);
        const document = describeDocument(info);
        const Location = document.urls.self;
        return created ? c.json(document, 201, { Location }) : c.json(document, 200, { Location });
      } catch (error) {
        // What can never become a document need not be kept until it is litter.
        if (error instanceof AppError && !error.retryable) await uploads.end(tenant, id);
        throw error;
      }
    });
