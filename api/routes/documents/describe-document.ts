import { type Document, type DocumentInfo, textBytesOf } from "../../contract/document.ts";
import { AppError } from "../../contract/errors.ts";

export function describeDocument(info: DocumentInfo): Document {
  const self = `/v1/documents/${info.id}`;
  return {
    object: "document",
    id: info.id,
    media_type: info.media_type,
    bytes: info.bytes,
    text_bytes: textBytesOf(info),
    created_at: info.created_ms / 1000,
    urls: { self, text: `${self}/text`, download: `${self}/download` },
  };
}

export const documentNotFound = (id: string, field?: string): AppError =>
  new AppError("document_not_found", `no document ${id}`, {
    detail: `There is no document \`${id}\`: send its text to POST /v1/documents first.`,
    ...(field === undefined ? {} : { field }),
  });

export const emptyDocument = (): AppError =>
  new AppError("invalid_request", "empty document", { field: "body", detail: "`body` is empty: send the document." });
