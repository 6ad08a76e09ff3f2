import { describe, expect, it } from "vitest";
import { TokenizerJson } from "../../../native/prompt/special-tokens.ts";
import { createTokenTexts } from "../../../native/prompt/token-text.ts";

const SPECIAL = { id: 0, content: "</s>", special: true };
const file = (decoder: object | null) =>
  TokenizerJson.parse({ added_tokens: [SPECIAL], model: { type: "BPE", vocab: {} }, decoder });

/** Texts of the tokens of a vocabulary, by the rule of a decoder. */
function textsOf(decoder: object | null, vocabulary: readonly (string | null)[]) {
  const textOf = createTokenTexts(file(decoder));
  const tokenizer = { idToToken: (id: number) => vocabulary[id] ?? null };
  return vocabulary.map((_, id) => textOf(tokenizer, id));
}

const BYTE_LEVEL = { type: "ByteLevel" };
const PIECES = { type: "Sequence", decoders: [{ type: "Replace" }, { type: "ByteFallback" }, { type: "Fuse" }] };

describe("the text of a token", () => {
  it.each([
    ["a word after a space", "Ġthe", " the"],
    ["a line break", "ĊĊ", "\n\n"],
    ["letters beyond ASCII", "Ã©", "é"],
    ["every printable byte as itself", "~!ÿ", undefined],
  ])("of byte-level BPE: %s", (_, token, text) => {
    const [, found] = textsOf(BYTE_LEVEL, [null, token]);
    if (text !== undefined) expect(found).toEqual({ token: text, bytes: [...Buffer.from(text)] });
    else expect(found?.bytes).toEqual([0x7e, 0x21, 0xff]);
  });

  it("shows half a character by its bytes", () => {
    expect(textsOf(BYTE_LEVEL, [null, "Ã"])[1]).toEqual({ token: "�", bytes: [0xc3] });
    expect(textsOf(PIECES, [null, "<0xC3>"])[1]).toEqual({ token: "�", bytes: [0xc3] });
  });

  it("of SentencePiece has spaces for its marks", () => {
    expect(textsOf(PIECES, [null, "▁the"])[1]).toEqual({ token: " the", bytes: [...Buffer.from(" the")] });
  });

  it("of a special token is as it is spelled, whatever it is called inside", () => {
    expect(textsOf(BYTE_LEVEL, ["{secret:0}"])[0]).toEqual({ token: "</s>", bytes: [...Buffer.from("</s>")] });
  });

  it("of an id that only pads the vocabulary is none", () => {
    expect(textsOf(null, [null, null])[1]).toEqual({ token: "", bytes: null });
  });
});
