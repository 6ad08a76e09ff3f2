import { z } from "zod";

/** What a document may be sent as. All but plain text and Markdown, which is text already, is turned to text. */
export const DocumentType = z.enum(["text/plain", "text/markdown", "text/html", "application/pdf"]);
export type DocumentType = z.infer<typeof DocumentType>;

export const isTextType = (type: DocumentType): boolean => type === "text/plain" || type === "text/markdown";

/** info.json beside a document's text: written once, and last. What has no info does not exist. */
export const DocumentInfo = z.object({
  /** `doc_` and the start of a SHA-256 of what was sent: the same content has the same id. */
  id: z.string(),
  media_type: DocumentType.default("text/plain"),
  /** Of what was sent. */
  bytes: z.int(),
  /** Of the text in UTF-8; absent where it is what was sent. */
  text_bytes: z.int().optional(),
  /** Or when it was last sent again, if that was long after. */
  created_ms: z.int(),
  /** Its retention is over and its objects are going since then: there is no such document any more. */
  removing_ms: z.int().optional(),
});
export type DocumentInfo = z.infer<typeof DocumentInfo>;

export const textBytesOf = ({ bytes, text_bytes }: DocumentInfo): number => text_bytes ?? bytes;

/** What a client sends to POST /v1/documents as JSON; the other types are sent as they are. */
export const CreateDocument = z.strictObject({ text: z.string().min(1) }).meta({ id: "CreateDocument" });

/** A text sent once, to be named by many jobs. */
export const Document = z
  .object({
    object: z.literal("document"),
    id: z.string(),
    media_type: DocumentType,
    bytes: z.int().meta({ description: "Of what was sent." }),
    text_bytes: z.int().meta({ description: "Of its text, which jobs read, in UTF-8." }),
    created_at: z.number(),
    urls: z.object({ self: z.string(), text: z.string(), download: z.string() }),
  })
  .meta({ id: "Document" });
export type Document = z.infer<typeof Document>;

export const DocumentList = z
  .object({
    object: z.literal("list"),
    data: z.array(Document),
    has_more: z.boolean(),
    next_cursor: z.string().nullable().meta({ description: "For `after` of the next page." }),
  })
  .meta({ id: "DocumentList" });

export const Download = z
  .object({
    object: z.literal("download"),
    url: z.string().meta({ description: "GET it without an API key." }),
    expires_at: z.number(),
  })
  .meta({ id: "Download" });

export const CreateUpload = z.strictObject({ media_type: DocumentType }).meta({ id: "CreateUpload" });

/** upload.json: what was announced. */
export const UploadInfo = z.object({ id: z.string(), media_type: DocumentType, expires_ms: z.int() });
export type UploadInfo = z.infer<typeof UploadInfo>;

export const Upload = z
  .object({
    object: z.literal("upload"),
    id: z.string(),
    media_type: DocumentType,
    method: z.literal("PUT"),
    url: z.string().meta({ description: "PUT the bytes here without an API key, then POST to `urls.complete`." }),
    expires_at: z.number(),
    urls: z.object({ complete: z.string() }),
  })
  .meta({ id: "Upload" });
export type Upload = z.infer<typeof Upload>;
