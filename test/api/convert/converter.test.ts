import { expect, test } from "vitest";
import type { DocumentType } from "../../../api/contract/document.ts";
import { limits } from "../../../api/contract/limits.ts";
import { createConverter } from "../../../api/convert/converter.ts";
import { tinyPdf } from "../../support/tiny-pdf.ts";

async function convert(source: string | Buffer, type: DocumentType, changes: Partial<typeof limits> = {}) {
  const stream = new Blob([Buffer.from(source)]).stream();
  const parts: Uint8Array[] = [];
  for await (const part of createConverter({ ...limits, ...changes })(stream, type)) parts.push(part);
  return Buffer.concat(parts).toString();
}
const refusal = (source: string | Buffer, type: DocumentType, changes?: Partial<typeof limits>) =>
  convert(source, type, changes).then(
    (text) => `converted to ${text}`,
    (error) => `${error.code}: ${error.detail}`,
  );

test("HTML is read as it reads: blocks apart, entities resolved, no scripts, styles and links", async () => {
  const html = `<!doctype html><html><head><title>T</title><style>p{}</style><script>alert("x")</script></head><body>
    <h1>Minutes</h1><p>The <b>board</b> met &amp; voted: <a href="https://e.example">see</a>.</p>
    <ul><li>one</li><li>two</li></ul><table><tr><th>Pier</th><th>Tons</th></tr><tr><td>North</td><td>40</td></tr></table>
    <img src="x" alt="y"></body></html>`;
  expect(await convert(html, "text/html")).toBe(
    "# Minutes\n\nThe board met & voted: see.\n\n * one\n * two\n\nPier    Tons\nNorth   40",
  );
});

test("HTML is decoded as it declares", async () => {
  const page = Buffer.from('<meta charset="iso-8859-1"><p>Gr\xfc\xdfe</p>', "latin1");
  expect(await convert(page, "text/html")).toBe("Grüße");
  expect(await convert("<meta charset=none><p>Grüße</p>", "text/html")).toBe("Grüße");
});

test("PDF gives the text of its pages in their order", async () => {
  expect(await convert(tinyPdf(["Contract KD-4417 expires.", "The board went home."]), "application/pdf")).toBe(
    "Contract KD-4417 expires.\n\nThe board went home.\n\n",
  );
});

test("what cannot be read is refused with its reason", async () => {
  expect(await refusal("no pdf", "application/pdf")).toBe("document_unreadable: It is not a valid PDF.");
  expect(await refusal(tinyPdf([]), "application/pdf")).toContain("It holds no text");
  expect(await refusal("<script>x</script>", "text/html")).toContain("It holds no text");
});

test("a document that takes too long or too much memory ends, and not the service", async () => {
  expect(await refusal("<p>x", "text/html", { convertMs: 1 as never })).toContain("more than 0.001 s");
  const heavy = "<div>".repeat(2_000_000);
  const refused = await refusal(heavy, "text/html", { convertMemoryBytes: (128 * 1024 ** 2) as never });
  expect(refused).toMatch(/^document_unreadable: .*(memory|too large)/);
});

test("pages nested without end do not exhaust the stack", async () => {
  expect(await convert(`${"<div>".repeat(50_000)}deep${"</div>".repeat(50_000)}<p>after`, "text/html")).toContain(
    "after",
  );
});

test("more at once than allowed wait for each other", async () => {
  const converter = createConverter({ ...limits, convertsAtOnce: 1 });
  const texts = await Promise.all(
    ["a", "b", "c"].map(async (name) => {
      const parts: Uint8Array[] = [];
      for await (const part of converter(new Blob([`<p>${name}`]).stream(), "text/html")) parts.push(part);
      return Buffer.concat(parts).toString();
    }),
  );
  expect(texts).toEqual(["a", "b", "c"]);
});
