import { afterEach, beforeEach, expect, test } from "vitest";
import { keys } from "../../../../api/contract/keys.ts";
import { createDocumentStore, type DocumentStore } from "../../../../api/state/documents/document-store.ts";
import { openEmbedded } from "../../../support/embedded-state.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let state: Awaited<ReturnType<typeof openEmbedded>>;
let documents: DocumentStore;
let nowMs: number;

beforeEach(async () => {
  nowMs = 1_800_000_000_000;
  directory = await temporaryDirectory();
  state = await openEmbedded(directory.path);
  documents = createDocumentStore({ objects: state.objects, now: () => nowMs });
});
afterEach(async () => {
  await state.close();
  await directory[Symbol.asyncDispose]();
});

test("a text is stored once under the hash of its content", async () => {
  const text = "Minutes of the harbour board: naïve ☂ ".repeat(5_000);
  const first = await documents.putDocument("acme", text);
  expect(first).toEqual({
    id: expect.stringMatching(/^doc_[0-9a-f]{40}$/),
    bytes: Buffer.byteLength(text),
    created: true,
  });
  nowMs += 1_000;
  expect(await documents.putDocument("acme", text)).toEqual({ ...first, created: false });
  expect(await documents.getDocumentText("acme", first.id)).toBe(text);
  const info = { id: first.id, media_type: "text/plain", bytes: first.bytes, created_ms: nowMs - 1_000 };
  expect(await documents.getDocumentInfo("acme", first.id)).toEqual(info);
});

test("another text is another document, and another tenant's does not exist", async () => {
  const one = await documents.putDocument("acme", "one");
  const two = await documents.putDocument("acme", "two");
  expect(one.id).not.toBe(two.id);
  expect(await documents.getDocumentText("other", one.id)).toBeNull();
  expect(await documents.getDocumentInfo("other", one.id)).toBeNull();
});

test("a put that broke off before its info is finished by the next", async () => {
  const { id } = await documents.putDocument("acme", "text");
  await state.objects.delete(keys.documentInfo("acme", id));
  await documents.putDocument("acme", "text");
  expect(await documents.getDocumentInfo("acme", id)).toMatchObject({ id, bytes: 4 });
});

test("a put that broke off is listed once when it is sent again, and what it left goes in time", async () => {
  const { id } = await documents.putDocument("acme", "text");
  await state.objects.delete(keys.documentInfo("acme", id));
  nowMs += 1_000;
  await documents.putDocument("acme", "text");
  const entries = async () => (await state.objects.list(keys.documentIndexOf("acme"))).map(({ key }) => key);
  const listed = async () => (await documents.list("acme", { after: null, limit: 10 })).items;
  expect(await listed()).toEqual([await documents.getDocumentInfo("acme", id)]);
  expect(await entries()).toHaveLength(2);
  nowMs += 3_600_001;
  expect(await listed()).toHaveLength(1);
  expect(await entries()).toEqual([keys.documentIndex("acme", nowMs - 3_600_001, id)]);
});

test("two puts at once make one document, listed once", async () => {
  const later = createDocumentStore({ objects: state.objects, now: () => nowMs + 5 });
  await Promise.all([documents.putDocument("acme", "text"), later.putDocument("acme", "text")]);
  expect((await documents.list("acme", { after: null, limit: 10 })).items).toHaveLength(1);
  expect(await state.objects.list(keys.documentIndexOf("acme"))).toHaveLength(1);
});

test.each(["../secret", "", "a/b"])("%j names no document", async (id) => {
  expect(await documents.getDocumentText("acme", id)).toBeNull();
  expect(await documents.getDocumentInfo("acme", id)).toBeNull();
});
