import type { Tokenizer } from "tokenizers";
import type { TokenizerJson } from "./special-tokens.ts";

/** One token as text, and byte by byte: a token may end within a character. `bytes` is null for an id that is no token. */
export type TokenText = { token: string; bytes: number[] | null };

const BYTE_TOKEN = /^<0x([0-9A-F]{2})>$/;

/** Names the tokens of a tokenizer as its file does, special ones included. To be made before those are hidden. */
export function createTokenTexts(
  file: TokenizerJson,
): (tokenizer: Pick<Tokenizer, "idToToken">, id: number) => TokenText {
  const added = new Map(file.added_tokens.map(({ id, content }) => [id, content]));
  const toBytes = usesByteLevel(file.decoder) ? byteLevelBytes : pieceBytes;
  return (tokenizer, id) => {
    const content = added.get(id);
    const token = content ?? tokenizer.idToToken(id);
    if (token === null) return { token: "", bytes: null };
    const bytes = content === undefined ? toBytes(token) : Buffer.from(token);
    return { token: bytes.toString("utf8"), bytes: [...bytes] };
  };
}

const usesByteLevel = (decoder: TokenizerJson["decoder"]): boolean =>
  [decoder, ...(decoder?.decoders ?? [])].some((part) => part?.type === "ByteLevel");

/** GPT-2 writes every byte as a printable character: those that are printable as themselves, the others from U+0100 on. */
const BYTE_OF = new Map<string, number>();
for (let byte = 0, next = 256; byte < 256; byte++) {
  const isPrintable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  BYTE_OF.set(String.fromCodePoint(isPrintable ? byte : next++), byte);
}

function byteLevelBytes(token: string): Buffer {
  return Buffer.concat(
    Array.from(token, (character) => {
      const byte = BYTE_OF.get(character);
      return byte === undefined ? Buffer.from(character) : Buffer.of(byte);
    }),
  );
}

/** SentencePiece writes spaces as U+2581, and a byte that belongs to no piece in hexadecimal. */
function pieceBytes(token: string): Buffer {
  const [, byte] = BYTE_TOKEN.exec(token) ?? [];
  return byte === undefined ? Buffer.from(token.replaceAll("▁", " ")) : Buffer.of(Number.parseInt(byte, 16));
}
