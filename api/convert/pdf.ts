import { extractText, getDocumentProxy } from "unpdf";
import { UnreadableError } from "./unreadable.ts";

/** The text of each page, an empty line between pages. */
export async function* pdfToText(source: Buffer): AsyncGenerator<string> {
  const pdf = await getDocumentProxy(new Uint8Array(source), { verbosity: 0 }).catch(refuse);
  const { text } = await extractText(pdf, { mergePages: false });
  for (const page of text) if (page.trim() !== "") yield `${page.trim()}\n\n`;
}

function refuse(error: unknown): never {
  const name = error instanceof Error ? error.name : "";
  if (name === "PasswordException") throw new UnreadableError("it is locked with a password; send it unlocked");
  if (name === "InvalidPDFException") throw new UnreadableError("it is not a valid PDF");
  throw error;
}
