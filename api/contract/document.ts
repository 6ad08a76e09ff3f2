import { z } from "zod";

/** info.json beside a document's text: written once, with the text. */
export const DocumentInfo = z.object({
  /** `doc_` and the start of the text's SHA-256: the same text has the same id. */
  id: z.string(),
  bytes: z.int(),
  created_ms: z.int(),
});
export type DocumentInfo = z.infer<typeof DocumentInfo>;
