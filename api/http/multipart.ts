import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { Busboy, type BusboyFileStream } from "@fastify/busboy";
import { AppError } from "../contract/errors.ts";

export type ReceivedFile = { filename: string; bytes: number };

type Receive = {
  /** Name of the field that holds the file. */
  field: string;
  /** Takes the file in as it comes. What it throws ends the request. */
  store: (body: AsyncIterable<Uint8Array>) => Promise<{ bytes: number }>;
};

const FIELDS = 16;
const FIELD_BYTES = 4_096;

/** More than a form has beside its file: the values of its fields, and the headers of its parts, each below 80 KiB. */
export const BESIDE_FILE_BYTES = 2 * 1024 * 1024;

/**
 * Reads a multipart form of one file and a few short fields, in whatever order and of whatever length, without ever
 * holding the file. Throws AppError `invalid_request`.
 */
export async function receiveMultipart(
  request: Request,
  { field, store }: Receive,
): Promise<{ fields: Record<string, string>; file: ReceivedFile | null }> {
  const fields: Record<string, string> = {};
  const stopped = new AbortController();
  const files: Promise<ReceivedFile>[] = [];
  const stop = (error: unknown): void => stopped.abort(error);

  const parser = createParser(request.headers.get("content-type") ?? "");
  parser.on("field", (name, value, nameTruncated, truncated) => {
    if (nameTruncated || truncated) stop(malformed(`\`${name}\` is longer than ${FIELD_BYTES} bytes`, name));
    fields[name] = value;
  });
  parser.on("file", (name, stream: BusboyFileStream, filename) => {
    // From the first moment: a body may break off before anything reads this stream, or while it waits for more.
    stream.on("error", (error) => stream.destroy(error));
    stopped.signal.addEventListener("abort", () => stream.destroy());
    if (name !== field || files.length > 0) {
      stream.resume();
      stop(malformed(`a second file, or one that is not in \`${field}\``, name));
      return;
    }
    const file = store(stream).then(({ bytes }) => ({ filename, bytes }));
    file.catch(stop);
    files.push(file);
  });
  for (const limit of ["fieldsLimit", "partsLimit", "filesLimit"] as const) {
    parser.on(limit, () => stop(malformed("it has too many parts")));
  }

  const body = Readable.fromWeb((request.body ?? new Blob([]).stream()) as ReadableStream);
  try {
    await pipeline(body, parser, { signal: stopped.signal });
    const [file = null] = await Promise.all(files);
    return { fields, file };
  } catch (error) {
    const reason = stopped.signal.aborted ? stopped.signal.reason : error;
    stop(reason);
    // Nothing of the file is written any more when this returns.
    await Promise.allSettled(files);
    throw reason instanceof AppError ? reason : malformed("it ends in the middle of a part", undefined, reason);
  }
}

function createParser(contentType: string) {
  try {
    return new Busboy({
      headers: { "content-type": contentType },
      limits: { files: 2, fields: FIELDS, parts: FIELDS + 2, fieldSize: FIELD_BYTES },
      // A client of OpenAI's gives each file a name, one that sends a text field none.
      isPartAFile: (_name, _type, filename) => filename !== undefined,
    });
  } catch (cause) {
    throw malformed("its content type has no boundary", undefined, cause);
  }
}

const malformed = (why: string, field = "body", cause?: unknown): AppError =>
  new AppError("invalid_request", `malformed multipart body: ${why}`, {
    field,
    detail: `The body is no multipart form that can be read: ${why}.`,
    cause,
  });
