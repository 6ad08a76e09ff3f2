import type { DocumentType } from "../../contract/document.ts";
import { documentTypeOf } from "../document-type.ts";
import { UsageError } from "./errors.ts";

/** So much of a document is looked at. */
export const HEAD_BYTES = 1024;

/** What a document is, by its first bytes and its name. Throws UsageError for what no document can be. */
export function sourceTypeOf(path: string, head: Buffer): DocumentType {
  if (head.subarray(0, 5).toString("latin1") === "%PDF-") return "application/pdf";
  const named = documentTypeOf(path);
  // A page may be in any encoding, as it says itself, and what is wrong with a PDF is the service's to find.
  if (named === "text/html" || named === "application/pdf") return named;
  if (isUtf16(head)) throw new UsageError(`${path} is UTF-16: convert it, as \`iconv -f utf-16 -t utf-8\` does.`);
  if (head.includes(0)) throw new UsageError(`${path} is neither text nor PDF: convert it to text, HTML or PDF first.`);
  return named ?? (/^\s*<(!doctype html|html)\b/i.test(head.toString("latin1")) ? "text/html" : "text/plain");
}

const isUtf16 = (head: Buffer): boolean => ["fffe", "feff"].includes(head.subarray(0, 2).toString("hex"));
