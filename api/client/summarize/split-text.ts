/** Ways to cut a text, from the most meaningful to the least. Each loses nothing: the pieces joined are the text. */
const CUTS: readonly ((text: string) => string[])[] = [
  (text) => cutBefore(text, headingStarts(text, 1)),
  (text) => cutBefore(text, headingStarts(text, 2)),
  (text) => cutBefore(text, headingStarts(text, 6)),
  (text) => text.split(/(?=\S)(?<=\n[ \t]*\n)/),
  (text) => text.split(/(?<=\n)/),
  (text) => Array.from(SENTENCES.segment(text), ({ segment }) => segment),
  (text) => text.split(/(?=\S)(?<=\s)/),
  (text) => Array.from(text),
];

const SENTENCES = new Intl.Segmenter(undefined, { granularity: "sentence" });

/**
 * Sections of at most `max`, by `weigh`, whose sum must never be less than the weight of what they make together. They
 * end where the text itself has an end: at a heading if there is one, else at a paragraph, a line, a sentence, a word.
 */
export function splitText(text: string, max: number, weigh: (text: string) => number, level = 0): string[] {
  if (weigh(text) <= max) return [text];
  const cut = CUTS[level];
  if (cut === undefined) return [text];
  const pieces = cut(text).flatMap((piece) => splitText(piece, max, weigh, level + 1));
  return pack(pieces, max, weigh);
}

/** Neighbours together for as long as they fit. */
function pack(pieces: readonly string[], max: number, weigh: (text: string) => number): string[] {
  const sections: string[][] = [];
  let room = 0;
  for (const piece of pieces) {
    const weight = weigh(piece);
    if (weight > room || sections.length === 0) {
      sections.push([]);
      room = max;
    }
    sections.at(-1)?.push(piece);
    room -= weight;
  }
  return sections.map((section) => section.join(""));
}

/** Where the Markdown headings of at most this level begin; a number sign within a code block is none. */
function headingStarts(text: string, level: number): number[] {
  const heading = new RegExp(`^ {0,3}#{1,${level}}[ \\t]+\\S`);
  const starts: number[] = [];
  let fence: string | null = null;
  let start = 0;
  for (const line of text.split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark !== undefined && fence === null) fence = mark;
    else if (mark !== undefined && fence !== null && mark.startsWith(fence)) fence = null;
    if (fence === null && heading.test(line)) starts.push(start);
    start += line.length + 1;
  }
  return starts;
}

function cutBefore(text: string, starts: readonly number[]): string[] {
  const bounds = [0, ...starts.filter((start) => start > 0), text.length];
  return bounds.slice(1).map((end, index) => text.slice(bounds[index], end));
}

/** The headings of a Markdown text, in their order, at most so many characters of them. */
export function outlineOf(text: string, maxCharacters: number): string[] {
  const headings = headingStarts(text, 3).map((start) => text.slice(start).split("\n", 1)[0]?.trim() ?? "");
  let left = maxCharacters;
  return headings.filter((heading) => {
    left -= heading.length + 1;
    return left >= 0;
  });
}
