import type { Document } from "../../contract/document.ts";
import { ProblemError } from "../problem-error.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";
import type { SourceFile } from "./source-file.ts";

/** Sends a document as it is read, with a bar of its bytes where the size is known. */
export async function upload(
  { client, progress }: Pick<Context, "client" | "progress">,
  source: SourceFile,
): Promise<Document> {
  const { name, bytes } = source;
  let sent = 0;
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      sent += chunk.byteLength;
      if (bytes !== null) progress.show([{ name: "upload", value: sent, total: bytes, unit: "byte", note: name }]);
      controller.enqueue(chunk);
    },
  });
  try {
    return await client.sendDocument(source.open().pipeThrough(counted), source.type);
  } catch (error) {
    if (isFileError(error)) throw new UsageError(`Cannot read ${name} (${error.code}).`);
    throw error instanceof ProblemError ? named(error, name) : error;
  } finally {
    progress.stop();
  }
}

/** Of several files the reader has to know which. */
function named(error: ProblemError, name: string): ProblemError {
  const { problem, status } = error;
  return new ProblemError(name, status, problem && { ...problem, detail: `${name}: ${problem.detail}` });
}

const isFileError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && "syscall" in error && ["read", "open"].includes(String(error.syscall));
