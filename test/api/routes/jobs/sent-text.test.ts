import { describe, expect, it } from "vitest";
import { createSentText } from "../../../../api/routes/jobs/sent-text.ts";

const nothing = { reset: false, added: [] };
const text = (index: number, text: string) => ({ index, text, id: expect.any(String) });

/** The id after these texts were sent. */
function idAfter(...texts: string[]): string {
  const sent = createSentText();
  sent.advance(texts, false);
  return sent.id();
}

describe("the text sent", () => {
  it("is what has come to each answer", () => {
    const sent = createSentText();
    expect(sent.advance(["a", ""], false)).toEqual({ reset: false, added: [text(0, "a")] });
    expect(sent.advance(["a", ""], false)).toEqual(nothing);
    expect(sent.advance(["ab", "x"], false)).toEqual({ reset: false, added: [text(0, "b"), text(1, "x")] });
    expect(sent.advance(["abc", "x"], true)).toEqual({ reset: false, added: [text(0, "c")] });
  });

  it("goes on where another attempt says the same, and does not repeat it", () => {
    const sent = createSentText();
    sent.advance(["abc"], false);
    expect(sent.advance([""], false)).toEqual(nothing);
    expect(sent.advance(["ab"], false)).toEqual(nothing);
    expect(sent.advance(["abcd"], false)).toEqual({ reset: false, added: [text(0, "d")] });
  });

  it("begins anew where another attempt says something else, or less", () => {
    const sent = createSentText();
    sent.advance(["abc", "x"], false);
    expect(sent.advance(["ax", "x"], false)).toEqual({ reset: true, added: [text(0, "ax"), text(1, "x")] });
    expect(sent.advance(["a", "x"], true)).toEqual({ reset: true, added: [text(0, "a"), text(1, "x")] });
  });
});

describe("a client that goes away between two pieces", () => {
  it("gets the second when it comes back", () => {
    const { added } = createSentText().advance(["a", "b"], true);
    const back = createSentText(added[0]?.id).advance(["a", "b"], true);
    expect(back).toEqual({ reset: false, added: [text(1, "b")] });
    expect(createSentText(added[1]?.id).advance(["a", "b"], true)).toEqual(nothing);
  });
});

describe("text sent by another process", () => {
  it.each([[["abc"]], [["", "x"]], [["ab", ""]], [["Süß 😀", "語"]], [[]]])("is not sent again: %j", (texts) => {
    const sent = createSentText(idAfter(...texts));
    expect(sent.advance(texts, false)).toEqual(nothing);
    expect(sent.id()).toBe(idAfter(...texts));
    const longer = texts.map((before) => `${before}!`);
    expect(sent.advance(longer, true)).toEqual({ reset: false, added: longer.map((_, index) => text(index, "!")) });
  });

  it("is waited for until another attempt has come as far", () => {
    const id = idAfter("abc");
    const sent = createSentText(id);
    expect(sent.advance(["a"], false)).toEqual(nothing);
    expect(sent.id()).toBe(id);
    expect(sent.advance(["abcd"], false)).toEqual({ reset: false, added: [text(0, "d")] });
  });

  it("is taken back where the answer differs from it, or ends before it", () => {
    expect(createSentText(idAfter("abc")).advance(["abx!"], false)).toEqual({ reset: true, added: [text(0, "abx!")] });
    expect(createSentText(idAfter("abc")).advance(["ab"], true)).toEqual({ reset: true, added: [text(0, "ab")] });
  });

  it.each(["", "x", "3", "1-", "1-zz", "-1-0123456789abcdef", "1.-0123456789abcdef", "9999999999-0123456789abcdef"])(
    "is sent whole to a client whose id means nothing: %j",
    (id) => {
      expect(createSentText(id).advance(["abc"], false)).toEqual({ reset: false, added: [text(0, "abc")] });
    },
  );
});
