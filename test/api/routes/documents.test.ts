import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Document, DocumentList, Download } from "../../../api/contract/document.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../support/test-app.ts";
import { tinyPdf } from "../../support/tiny-pdf.ts";

let app: TestApp;
beforeAll(async () => {
  app = await openTestApp();
});
afterAll(() => app[Symbol.asyncDispose]());

describe("POST /v1/documents: 201", () => {
  it.each([
    ["JSON", { text: "Grüße" }, "application/json"],
    ["JSON with a charset", { text: "Grüße" }, "application/json; charset=utf-8"],
    ["plain text", "Grüße", "text/plain"],
    ["plain text with a charset", "Grüße", "Text/Plain; charset=utf-8"],
    ["text with a byte order mark", "\ufeffGrüße", "text/plain"],
    ["Markdown", "Grüße", "text/markdown"],
  ])("stores %s, counted in bytes of UTF-8", async (_, body, type) => {
    await using app = await openTestApp();
    const response = await app.post("/v1/documents", body, type);
    const document = await readJson(Document, response);
    expect(response.status).toBe(201);
    expect(response.headers.get("location")).toBe(`/v1/documents/${document.id}`);
    expect(document).toMatchObject({ object: "document", bytes: 7 });
    expect(await app.state.documents.getDocumentText("default", document.id)).toBe("Grüße");
  });

  it("gives the same text the same id", async () => {
    const [one, two] = [
      await app.post("/v1/documents", { text: "same" }),
      await app.post("/v1/documents", "same", "text/plain"),
    ];
    expect((await readJson(Document, one)).id).toBe((await readJson(Document, two)).id);
  });

  it("keeps plain text that looks like JSON as it is", async () => {
    const { id } = await readJson(Document, await app.post("/v1/documents", '{"text": "inner"}', "text/plain"));
    expect(await app.state.documents.getDocumentText("default", id)).toBe('{"text": "inner"}');
  });
});

describe("POST /v1/documents: 400", () => {
  it.each([
    ["an empty text", { text: "" }, "application/json", "text"],
    ["no text", {}, "application/json", "text"],
    ["empty plain text", "", "text/plain", "body"],
  ])("refuses %s", async (_, body, type, field) => {
    const problem = await readProblem(await app.post("/v1/documents", body, type));
    expect(problem).toMatchObject({ status: 400, code: "invalid_request", field });
  });

  it("refuses plain text that is not UTF-8", async () => {
    const response = await app.app.request("/v1/documents", {
      method: "POST",
      headers: { "Content-Type": "text/plain" },
      body: Uint8Array.of(0x47, 0x72, 0xfc),
    });
    const problem = await readProblem(response);
    expect(problem).toMatchObject({ status: 400, code: "invalid_request", field: "body" });
    expect(problem.detail).toContain("not UTF-8");
  });
});

describe("POST /v1/documents: 200", () => {
  it("is the answer to content that the tenant has sent before", async () => {
    expect((await app.post("/v1/documents", "twice", "text/plain")).status).toBe(201);
    const again = await app.post("/v1/documents", "twice", "text/markdown");
    expect(again.status).toBe(200);
    expect(again.headers.get("location")).toBe((await readJson(Document, again)).urls.self);
    expect((await app.state.objects.list("u/")).length).toBe(0);
  });
});

describe("POST /v1/documents: 413", () => {
  it("stops at the configured limit, announced or not, and keeps nothing", async () => {
    await using own = await openTestApp({ maxDocumentBytes: 10 });
    expect((await own.post("/v1/documents", "0123456789", "text/plain")).status).toBe(201);
    const problem = await readProblem(await own.post("/v1/documents", "0123456789a", "text/plain"));
    expect(problem).toMatchObject({ code: "payload_too_large", limit_bytes: 10 });
    expect((await own.state.objects.list("u/")).length).toBe(0);
  });
});

describe("POST /v1/documents: 415", () => {
  it("names every type that it takes", async () => {
    const problem = await readProblem(await app.post("/v1/documents", "x", "application/zip"));
    expect(problem.detail).toBe(
      "The content type is `application/zip`: send application/json, text/plain, text/markdown, text/html or application/pdf.",
    );
  });
});

describe("POST /v1/documents: 422", () => {
  it("says why a document cannot be turned to text, and keeps nothing of it", async () => {
    await using own = await openTestApp();
    const problem = await readProblem(await own.post("/v1/documents", "no pdf", "application/pdf"));
    expect(problem).toMatchObject({ code: "document_unreadable", field: "body" });
    expect(problem.detail).toBe("It is not a valid PDF.");
    expect(await own.state.objects.list("t/")).toEqual([]);
    expect(await own.state.objects.list("u/")).toEqual([]);
  });
});

describe("HTML and PDF", () => {
  it("are turned to text that jobs read, and can be downloaded as they were sent", async () => {
    const html = "<h1>Minutes</h1><p>The board met.</p>";
    const sent = await readJson(Document, await app.post("/v1/documents", html, "text/html"));
    expect(sent).toMatchObject({ media_type: "text/html", bytes: html.length, text_bytes: 25 });
    const text = await app.get(sent.urls.text);
    expect(text.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(await text.text()).toBe("# Minutes\n\nThe board met.");
    const read = async (query: string) => {
      const { url } = await readJson(Download, await app.get(`${sent.urls.download}${query}`));
      return (await app.app.request(url)).text();
    };
    expect(await read("")).toBe(html);
    expect(await read("?of=text")).toBe("# Minutes\n\nThe board met.");
    expect((await app.submit({ document: { id: sent.id } })).progress.prompt_tokens).toBeGreaterThan(5);
    const pdf = await app.app.request("/v1/documents", {
      method: "POST",
      headers: { "Content-Type": "application/pdf" },
      body: Uint8Array.from(tinyPdf(["KD-4417"])),
    });
    const { urls } = await readJson(Document, pdf);
    expect(await (await app.get(urls.text)).text()).toBe("KD-4417\n\n");
  });
});

describe("a document of 200 MB", () => {
  it("is stored and read without ever being in memory as a whole", async () => {
    await using own = await openTestApp();
    const chunk = Buffer.alloc(1_000_000, "The minutes of the harbour board. ");
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    const watch = () => {
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    };
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        watch();
        if (sent++ === 200) controller.close();
        else controller.enqueue(Uint8Array.from(chunk));
      },
    });
    const headers = { "Content-Type": "text/plain" };
    const request = new Request("http://localhost/v1/documents", { method: "POST", headers, body, duplex: "half" });
    const document = await readJson(Document, await own.app.request(request));
    expect(document.bytes).toBe(200_000_000);
    let read = 0;
    for await (const part of (await own.get(document.urls.text)).body ?? []) {
      read += part.length;
      watch();
    }
    expect(read).toBe(200_000_000);
    expect(peak).toBeLessThan(100_000_000);
    const job = { document: { id: document.id }, question: "what" };
    expect(await readProblem(await own.post("/v1/jobs", job))).toMatchObject({
      code: "context_overflow",
      field: "document.id",
      text_bytes: 200_000_000,
    });
  });
});

describe("GET /v1/documents: 200", () => {
  it("pages through the tenant's documents, newest first, and skips what was deleted", async () => {
    await using own = await openTestApp();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      ids.unshift((await readJson(Document, await own.post("/v1/documents", { text: `text ${i}` }))).id);
      own.state.advance(10);
    }
    const page = async (query: string) => readJson(DocumentList, await own.get(`/v1/documents?${query}`));
    const first = await page("limit=2");
    expect(first).toMatchObject({ object: "list", has_more: true });
    await own.delete(`/v1/documents/${ids[2]}`);
    const second = await page(`limit=2&after=${first.next_cursor}`);
    expect([...first.data, ...second.data].map(({ id }) => id)).toEqual([ids[0], ids[1], ids[3], ids[4]]);
    expect(second).toMatchObject({ has_more: false, next_cursor: null });
  });
});

describe("GET /v1/documents: 400", () => {
  it.each(["limit=0", "limit=101", "after=../x"])("refuses %s", async (query) => {
    expect(await readProblem(await app.get(`/v1/documents?${query}`))).toMatchObject({ code: "invalid_request" });
  });
});

describe("GET /v1/documents/{id}/download: 400", () => {
  it("knows only text and source", async () => {
    const { urls } = await readJson(Document, await app.post("/v1/documents", { text: "a text" }));
    expect((await readProblem(await app.get(`${urls.download}?of=pages`))).field).toBe("of");
  });
});

describe("DELETE /v1/documents/{id}: 204", () => {
  it("removes everything of the document and nothing else", async () => {
    await using own = await openTestApp();
    const other = await readJson(Document, await own.post("/v1/documents", { text: "other" }));
    const page = await readJson(Document, await own.post("/v1/documents", "<p>page", "text/html"));
    await own.state.objects.put(`t/default/d/${page.id}/kv/0`, Buffer.from("derived"));
    expect((await own.delete(`/v1/documents/${page.id}`)).status).toBe(204);
    expect((await own.state.objects.list("t/")).every(({ key }) => key.includes(other.id))).toBe(true);
    expect((await own.get(page.urls.self)).status).toBe(404);
    const again = await own.post("/v1/documents", "<p>page", "text/html");
    expect(again.status).toBe(201);
  });
});

describe("DELETE /v1/documents/{id}: 404", () => {
  it("knows no such document", async () => {
    expect(await readProblem(await app.delete("/v1/documents/none"))).toMatchObject({ code: "document_not_found" });
  });
});

describe("GET /v1/documents/{id}: 200", () => {
  it("describes the document that was sent", async () => {
    const sent = await readJson(Document, await app.post("/v1/documents", { text: "a text" }));
    const response = await app.get(`/v1/documents/${sent.id}`);
    expect(response.status).toBe(200);
    expect(await readJson(Document, response)).toEqual(sent);
  });
});

describe("GET /v1/documents/{id}: 404", () => {
  it.each(["doc_none", "..%2Fj"])("does not know %s", async (id) => {
    for (const part of ["", "/text", "/download"]) {
      const problem = await readProblem(await app.get(`/v1/documents/${id}${part}`));
      expect(problem).toMatchObject({ status: 404, code: "document_not_found" });
    }
  });
});
