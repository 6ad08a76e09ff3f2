import type { Document } from "../../contract/document.ts";
import { ProblemError } from "../problem-error.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";
import type { SourceFile } from "./source-file.ts";

/** Sends a document as it is read, with a bar of its bytes where the size is known. */
export const uploadDocument = (context: Pick<Context, "client" | "progress">, source: SourceFile): Promise<Document> =>
  sending(context, source, async (onBytes) => context.client.sendDocument(await source.open(onBytes), source.type));

/** Runs what sends a file, with a bar of its bytes. What went wrong with the file is said with its name. */
export async function sending<T>(
  { progress }: Pick<Context, "progress">,
  { name, bytes }: Pick<SourceFile, "name" | "bytes">,
  send: (onBytes: (sent: number) => void) => Promise<T>,
): Promise<T> {
  try {
    return await send((value) => {
      if (bytes !== null) progress.show([{ name: "upload", value, total: bytes, unit: "byte", note: name }]);
    });
  } catch (error) {
    if (isFileError(error)) throw new UsageError(`Cannot read ${name} (${error.code}).`);
    if (isChangedFile(error)) throw new UsageError(`${name} was changed while it was sent: send it again.`);
    throw error instanceof ProblemError ? error.about(name) : error;
  } finally {
    progress.stop();
  }
}

const isFileError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && "syscall" in error && ["read", "open"].includes(String(error.syscall));

const isChangedFile = (error: unknown): boolean => error instanceof Error && error.name === "NotReadableError";
