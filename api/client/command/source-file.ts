import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { Readable } from "node:stream";
import type { DocumentType } from "../../contract/document.ts";
import { UsageError } from "./errors.ts";
import { HEAD_BYTES, sourceTypeOf } from "./source-type.ts";
import type { Terminal } from "./terminal.ts";
import { openWatched } from "./watched-file.ts";

export type SourceFile = {
  name: string;
  type: DocumentType;
  /** null for what can be read once only: standard input, or another pipe. */
  bytes: number | null;
  open(onBytes: (sent: number) => void): Promise<File> | ReadableStream<Uint8Array>;
};

/** `-` is standard input. Throws UsageError, in words for whoever typed the path. */
export async function openSource(
  path: string,
  terminal: Pick<Terminal, "in">,
  type?: DocumentType,
): Promise<SourceFile> {
  if (path === "-") return openPipe("standard input", terminal.in, type);
  const found = await statOf(path);
  if (found.isDirectory()) {
    throw new UsageError(`${path} is a folder: \`gnomon summarize ${path}\` summarises what is in it.`);
  }
  // As <(...) makes them.
  if (!found.isFile()) return openPipe(path, createReadStream(path), type);
  if (found.size === 0) throw new UsageError(`${path} is empty.`);
  const name = basename(path);
  return {
    name,
    type: type ?? sourceTypeOf(path, await headOf(path)),
    bytes: found.size,
    open: (onBytes) => openWatched(path, name, onBytes),
  };
}

/** Of what a path leads to. Throws UsageError. */
export const statOf = (path: string) => stat(path).catch(refuse(path));

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path).catch(refuse(path));
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

const refuse =
  (path: string) =>
  ({ code }: NodeJS.ErrnoException): never => {
    throw new UsageError(code === "ENOENT" ? `There is no file ${path}.` : `Cannot read ${path} (${code}).`);
  };

async function openPipe(name: string, pipe: Readable, type?: DocumentType): Promise<SourceFile> {
  const chunks: AsyncIterator<Buffer> = pipe[Symbol.asyncIterator]();
  const read: Buffer[] = [];
  let bytes = 0;
  let isOver = false;
  while (!isOver && bytes < HEAD_BYTES) {
    const { value, done } = await chunks.next();
    isOver = done === true;
    if (isOver) break;
    read.push(value);
    bytes += value.length;
  }
  if (bytes === 0) throw new UsageError(`There is nothing on ${name}.`);
  async function* all(): AsyncGenerator<Uint8Array> {
    yield* read;
    while (!isOver) {
      const { value, done } = await chunks.next();
      if (done) return;
      yield value;
    }
  }
  return {
    name,
    type: type ?? sourceTypeOf(name, Buffer.concat(read).subarray(0, HEAD_BYTES)),
    bytes: null,
    open: () => Readable.toWeb(Readable.from(all())) as ReadableStream<Uint8Array>,
  };
}
