import type { Convert, DocumentStore } from "../../state/documents/document-store.ts";
import type { UploadStore } from "../../state/documents/upload-store.ts";

/** What the routes of documents work with. */
export type DocumentDeps = {
  documents: DocumentStore;
  uploads: UploadStore;
  convert: Convert;
  maxDocumentBytes: number;
  now: () => number;
};
