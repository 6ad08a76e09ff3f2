import { AppError } from "../contract/errors.ts";

/** Passes UTF-8 on, without a byte order mark. Throws AppError `invalid_request` at the first byte that is none. */
export async function* utf8Only(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const check = (chunk?: Uint8Array) => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined });
    } catch (cause) {
      throw new AppError("invalid_request", "document is not UTF-8", {
        field: "body",
        detail:
          "`body` is not UTF-8: convert it, or send it as what it is; text/html and application/pdf are read too.",
        cause,
      });
    }
  };
  for await (const chunk of withoutMark(body)) {
    check(chunk);
    yield chunk;
  }
  check();
}

const MARK = Buffer.of(0xef, 0xbb, 0xbf);

async function* withoutMark(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Buffer | null = Buffer.alloc(0);
  for await (const chunk of body) {
    if (head === null) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < MARK.length) continue;
    yield head.subarray(0, 3).equals(MARK) ? head.subarray(3) : head;
    head = null;
  }
  if (head !== null && head.length > 0) yield head;
}

/** Throws what `tooLarge` gives once more than `limit` bytes have come. */
export async function* bounded(
  body: AsyncIterable<Uint8Array> | null,
  limit: number,
  tooLarge: () => Error,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > limit) throw tooLarge();
    yield chunk;
  }
}
