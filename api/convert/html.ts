import { convert, type FormatCallback } from "html-to-text";

/** Well above any page; deeper ones would exhaust the stack of whatever walks through them. */
const MAX_DEPTH = 256;

const HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"];

/** As in Markdown, so that a text that is cut at its headings has them whatever it came as. */
const formatHeading: FormatCallback = (element, walk, builder) => {
  builder.openBlock({ leadingLineBreaks: 2 });
  builder.addLiteral(`${"#".repeat(HEADINGS.indexOf(element.name ?? "") + 1)} `);
  walk(element.children, builder);
  builder.closeBlock({ trailingLineBreaks: 2 });
};

/** The text of a page as it reads: headings, lists and tables kept apart, without scripts, pictures and link targets. */
export async function* htmlToText(source: Buffer): AsyncGenerator<string> {
  yield convert(decode(source), {
    wordwrap: false,
    limits: { maxInputLength: Number.MAX_SAFE_INTEGER, maxDepth: MAX_DEPTH, ellipsis: "" },
    selectors: [
      { selector: "a", options: { ignoreHref: true } },
      { selector: "img", format: "skip" },
      { selector: "table", format: "dataTable", options: { uppercaseHeaderCells: false } },
      ...HEADINGS.map((selector) => ({ selector, format: "markedHeading" })),
    ],
    formatters: { markedHeading: formatHeading },
  });
}

/** In the encoding that the page declares; UTF-8 where it declares none that is known. */
function decode(source: Buffer): string {
  const head = source.subarray(0, 1024).toString("latin1");
  const declared = /<meta[^>]+charset\s*=\s*["']?([\w-]+)/i.exec(head)?.[1];
  try {
    return new TextDecoder(declared ?? "utf-8").decode(source);
  } catch {
    return new TextDecoder().decode(source);
  }
}
