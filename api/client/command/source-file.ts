import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { Readable } from "node:stream";
import type { DocumentType } from "../../contract/document.ts";
import { documentTypeOf } from "../document-type.ts";
import { UsageError } from "./errors.ts";
import type { Terminal } from "./terminal.ts";

export type SourceFile = {
  name: string;
  type: DocumentType;
  /** null for standard input. */
  bytes: number | null;
  open(): ReadableStream<Uint8Array>;
};

/** `-` is standard input. Throws UsageError, in words for whoever typed the path. */
export async function openSource(
  path: string,
  terminal: Pick<Terminal, "in">,
  type?: DocumentType,
): Promise<SourceFile> {
  if (path === "-") {
    const open = () => Readable.toWeb(terminal.in) as ReadableStream<Uint8Array>;
    return { name: "standard input", type: type ?? "text/plain", bytes: null, open };
  }
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(
      error.code === "ENOENT" ? `There is no file ${path}.` : `Cannot read ${path} (${error.code}).`,
    );
  });
  if (!found.isFile()) {
    throw new UsageError(`${path} is no file${found.isDirectory() ? ": `gnomon summarize` takes folders" : ""}.`);
  }
  if (found.size === 0) throw new UsageError(`${path} is empty.`);
  return {
    name: basename(path),
    type: type ?? documentTypeOf(path) ?? "text/plain",
    bytes: found.size,
    open: () => Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array>,
  };
}
