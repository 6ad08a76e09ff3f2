/** A line of a file, without its line break. Blank lines are left out, but count. */
export type JsonLine = {
  /** The first line of the file is 1. */
  number: number;
  /** Bytes of the file, [start, end), the line break included. */
  start: number;
  end: number;
  /** Null where the line is no UTF-8, or longer than the limit. */
  text: string | null;
  isTooLong: boolean;
};

type Place = { line: number; byte: number };

const BREAK = 0x0a;
const MARK = "\uFEFF";

/** Takes a body apart that begins at `from` of its file. No more than `maxBytes` of a line are ever in memory. */
export async function* jsonLines(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  maxBytes: number,
  from: Place = { line: 1, byte: 0 },
): AsyncGenerator<JsonLine> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let { line: number, byte: start } = from;
  let pieces: Uint8Array[] = [];
  let length = 0;

  function add(piece: Uint8Array): void {
    length += piece.length;
    if (length <= maxBytes) pieces.push(piece);
    else pieces = [];
  }

  function take(breakBytes: number): JsonLine {
    const isTooLong = length > maxBytes;
    const text = isTooLong ? null : decode(pieces);
    const end = start + length + breakBytes;
    const line = { number, start, end, text: number === 1 && text !== null ? withoutMark(text) : text, isTooLong };
    number += 1;
    start = end;
    pieces = [];
    length = 0;
    return line;
  }

  function decode(parts: Uint8Array[]): string | null {
    try {
      return decoder.decode(parts.length === 1 ? parts[0] : Buffer.concat(parts));
    } catch {
      return null;
    }
  }

  for await (const chunk of body) {
    let at = 0;
    for (let next = chunk.indexOf(BREAK, at); next >= 0; next = chunk.indexOf(BREAK, at)) {
      add(chunk.subarray(at, next));
      at = next + 1;
      const line = take(1);
      if (!isBlank(line)) yield line;
    }
    // A copy: the chunk itself may be far larger, and would stay with it.
    if (at < chunk.length) add(at === 0 ? chunk : Uint8Array.from(chunk.subarray(at)));
  }
  if (length > 0) {
    const line = take(0);
    if (!isBlank(line)) yield line;
  }
}

const isBlank = ({ text }: JsonLine): boolean => text !== null && text.trim() === "";
const withoutMark = (text: string): string => (text.startsWith(MARK) ? text.slice(1) : text);
