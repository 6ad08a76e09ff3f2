// The process that turns one hostile document into text: source on stdin, UTF-8 on stdout. It may read its own code
// and nothing else, and whoever started it watches its time and memory. Status 3 and a line on stderr: unreadable.
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { htmlToText } from "./html.ts";
import { pdfToText } from "./pdf.ts";
import { UnreadableError } from "./unreadable.ts";

const CONVERTERS: Record<string, (source: Buffer) => AsyncIterable<string>> = {
  "text/html": htmlToText,
  "application/pdf": pdfToText,
};

async function* nonEmpty(text: AsyncIterable<string>) {
  let found = false;
  for await (const part of text) {
    found ||= part.trim() !== "";
    yield part;
  }
  if (!found)
    throw new UnreadableError("it holds no text; scanned pages have to go through character recognition first");
}

// stdout is the text: a library that talks must not talk into it.
console.log = console.error;

try {
  const convert = CONVERTERS[process.argv[2] ?? ""];
  if (convert === undefined) throw new Error(`no converter for ${process.argv[2]}`);
  await pipeline(nonEmpty(convert(await buffer(process.stdin))), process.stdout);
} catch (error) {
  const unreadable = error instanceof UnreadableError;
  console.error(unreadable ? error.message : error);
  process.exitCode = unreadable ? 3 : 1;
}
