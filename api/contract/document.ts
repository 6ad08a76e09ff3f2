import { z } from "zod";

/** info.json beside a document's text: written once, with the text. */
export const DocumentInfo = z.object({
  /** `doc_` and the start of the text's SHA-256: the same text has the same id. */
  id: z.string(),
  bytes: z.int(),
  created_ms: z.int(),
});
export type DocumentInfo = z.infer<typeof DocumentInfo>;

/** What a client sends to POST /v1/documents as JSON; plain text is taken as well. */
export const CreateDocument = z.strictObject({ text: z.string().min(1) }).meta({ id: "CreateDocument" });

/** A text sent once, to be named by many jobs. */
export const Document = z
  .object({ object: z.literal("document"), id: z.string(), bytes: z.int(), created_at: z.number() })
  .meta({ id: "Document" });
export type Document = z.infer<typeof Document>;
