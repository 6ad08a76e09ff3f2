import { extname } from "node:path";
import type { DocumentType } from "../contract/document.ts";

const TYPES: Record<string, DocumentType> = {
  ".txt": "text/plain",
  ".text": "text/plain",
  ".md": "text/markdown",
  ".markdown": "text/markdown",
  ".html": "text/html",
  ".htm": "text/html",
  ".pdf": "application/pdf",
};

/** By its name; undefined for a kind that cannot be told from it. */
export const documentTypeOf = (path: string): DocumentType | undefined => TYPES[extname(path).toLowerCase()];
