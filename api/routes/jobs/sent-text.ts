import { createHash } from "node:crypto";

/** `id` names all text up to this piece: a client may go away between two. */
export type Added = { index: number; text: string; id: string };

/** What an event's id says of the text up to it: how long each answer was, and a hash of them all. */
type Mark = { lengths: number[]; hash: string };

export type SentText = {
  /**
   * What is to be sent now that the answers are `texts`. `reset` says that what was sent before does not count any more.
   * Another attempt may begin from nothing: as long as it says the same, it is waited for.
   */
  advance(texts: readonly string[], isFinal: boolean): { reset: boolean; added: Added[] };
  /** Names all text sent so far; give it to createSentText to go on from here, in whatever process. */
  id(): string;
};

/** Keeps track of the text that one client has got. */
export function createSentText(lastEventId?: string): SentText {
  let sent: readonly string[] = [];
  let mark = lastEventId === undefined ? null : parseMark(lastEventId);

  /** The client's text, once the answers are long enough to show it; null until then. */
  function recover({ lengths, hash }: Mark, texts: readonly string[], isFinal: boolean): readonly string[] | null {
    const known = lengths.map((length, index) => texts[index]?.slice(0, length) ?? "");
    if (known.every((text, index) => text.length === lengths[index])) return hashOf(known) === hash ? known : [];
    return isFinal ? [] : null;
  }

  return {
    advance(texts, isFinal) {
      let reset = false;
      if (mark !== null) {
        const recovered = recover(mark, texts, isFinal);
        if (recovered === null) return { reset: false, added: [] };
        reset = recovered.length < mark.lengths.length;
        sent = recovered;
        mark = null;
      }
      const agrees = texts.every((text, index) => {
        const before = sent[index] ?? "";
        return text.startsWith(before) || (!isFinal && before.startsWith(text));
      });
      if (!agrees) {
        reset = true;
        sent = [];
      }
      const reached = texts.map((_, index) => sent[index] ?? "");
      const added: Added[] = [];
      for (const [index, text] of texts.entries()) {
        const before = reached[index] ?? "";
        if (text.length <= before.length) continue;
        reached[index] = text;
        added.push({ index, text: text.slice(before.length), id: formatMark(reached) });
      }
      sent = reached;
      return { reset, added };
    },
    id: () => (mark === null ? formatMark(sent) : `${mark.lengths.join(".")}-${mark.hash}`),
  };
}

const hashOf = (texts: readonly string[]): string =>
  createHash("sha256").update(JSON.stringify(texts)).digest("hex").slice(0, 16);

const formatMark = (texts: readonly string[]): string =>
  `${texts.map(({ length }) => length).join(".")}-${hashOf(texts)}`;

/** null for what is no id of ours: the client then gets everything. */
function parseMark(id: string): Mark | null {
  const [, lengths = "", hash] = /^((?:\d{1,9}(?:\.\d{1,9})*)?)-([0-9a-f]{16})$/.exec(id) ?? [];
  if (hash === undefined) return null;
  return { lengths: lengths === "" ? [] : lengths.split(".").map(Number), hash };
}
