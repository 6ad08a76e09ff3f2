import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { keys } from "../../../api/contract/keys.ts";
import { limits } from "../../../api/contract/limits.ts";
import { createDocumentStore, type DocumentStore } from "../../../api/state/documents/document-store.ts";
import { createQuoteStore } from "../../../api/state/jobs/quote-store.ts";
import { createRetention, type Removed } from "../../../api/state/retention.ts";
import { chatLines, createBatch, openTestService, uploadLines } from "../../support/batch-fixtures.ts";
import { jobRequest } from "../../support/job-fixtures.ts";
import { openTempState, type TempState } from "../../support/temp-state.ts";

const hour = 3_600_000;
const days = 24 * hour;
const retentionMs = 30 * days;
const NOTHING: Removed = { batches: 0, files: 0, documents: 0, quotes: 0 };

const log = { warn: vi.fn() };

const keysBelow = async (state: TempState, prefix: string) => (await state.objects.list(prefix)).map(({ key }) => key);

describe("batches and files past their retention", () => {
  it("go with all that belongs to them, in every tenant's place, and not before", async () => {
    await using test = await openTestService();
    const { state } = test;
    const removeOld = createRetention({ ...state, retentionMs, log });
    const { id } = await createBatch(test, chatLines(3));
    await test.work();
    const running = await test.begin();
    for (const index of [0, 1, 2]) (await test.worker.sequence(index)).finish(1);
    await running.done;
    expect((await state.batches.get("default", id))?.status).toBe("completed");
    expect(await removeOld()).toEqual(NOTHING);
    state.advance(29 * days);
    expect(await removeOld()).toEqual(NOTHING);
    // The input file and the output file.
    state.advance(days + hour);
    expect(await removeOld()).toEqual({ ...NOTHING, batches: 1, files: 2 });
    expect(await keysBelow(state, "t/")).toEqual([]);
    expect(await removeOld()).toEqual(NOTHING);
  });

  it("go with the job of a batch whose making broke off", async () => {
    await using test = await openTestService();
    const { state } = test;
    const removeOld = createRetention({ ...state, retentionMs, log });
    const { id } = await uploadLines(test, chatLines(1));
    const create = vi.spyOn(state.batches, "create").mockRejectedValueOnce(new Error("gone"));
    const asked = { input_file_id: id, endpoint: "/v1/chat/completions", completion_window: "24h" };
    expect((await test.post("/v1/batches", asked)).status).toBe(500);
    create.mockRestore();
    await state.files.delete("default", id);
    for (let attempt = 1; attempt <= limits.maxAttempts; attempt++) {
      await test.work();
      state.advance(hour);
    }
    await removeOld();
    state.advance(25 * hour);
    expect(await removeOld()).toEqual(NOTHING);
    expect(await keysBelow(state, "t/")).toEqual([]);
  });

  it("stay while a job of the batch is not over", async () => {
    await using test = await openTestService();
    const { state } = test;
    const removeOld = createRetention({ ...state, retentionMs, log });
    const { id } = await createBatch(test, chatLines(2));
    state.advance(31 * days);
    expect(await removeOld()).toEqual({ ...NOTHING, files: 1 });
    expect(await keysBelow(state, keys.batchAll("default", id))).toContain(keys.batchInput("default", id));
    // Over by its state, with a part whose end has not been taken note of.
    await state.batches.change("default", id, (batch) => ({ ...batch, status: "failed", failed_ms: batch.created_ms }));
    expect(await removeOld()).toEqual(NOTHING);
    for (const part of await state.batches.parts.listOpen({ tenant: "default", id })) {
      await state.batches.parts.close({ tenant: "default", id }, part);
    }
    expect(await removeOld()).toEqual({ ...NOTHING, batches: 1 });
    expect(await keysBelow(state, "t/default/b")).toEqual([]);
  });

  it("go as soon as a file's own time is over", async () => {
    await using test = await openTestService();
    const { state } = test;
    const removeOld = createRetention({ ...state, retentionMs, log });
    const kept = await uploadLines(test, chatLines(1));
    const { id } = await state.files.publish("default", {
      id: state.files.newId(),
      filename: "short.jsonl",
      purpose: "batch_output",
      bytes: 1,
      expirySeconds: 3_600,
    });
    state.advance(2 * hour);
    expect(await removeOld()).toEqual({ ...NOTHING, files: 1 });
    expect(await state.files.get("default", id)).toBeNull();
    expect(await state.files.get("default", kept.id)).not.toBeNull();
  });

  it("are finished by the next sweep where one broke off", async () => {
    await using test = await openTestService();
    const { state } = test;
    const removeOld = createRetention({ ...state, retentionMs, log });
    const { id } = await createBatch(test, chatLines(2));
    await state.objects.delete(keys.batchState("default", id));
    state.advance(31 * days);
    expect(await removeOld()).toMatchObject({ batches: 1 });
    expect(await keysBelow(state, "t/default/b")).toEqual([]);
  });
});

it("removes the quotes that have expired, of tenants that never ask for another", async () => {
  await using state = await openTempState();
  const quotes = createQuoteStore({ ...state, newId: randomUUID });
  const quote = { prompt_tokens: 5, max_total_tokens: 10, price: null };
  for (let n = 0; n < 3; n++) await quotes.put("acme", quote);
  state.advance(hour);
  const { id } = await quotes.put("zoo", quote);
  expect(await createRetention({ ...state, retentionMs, log })()).toEqual({ ...NOTHING, quotes: 3 });
  expect(await quotes.get("zoo", id)).not.toBeNull();
  expect(await keysBelow(state, keys.quotesOf("acme"))).toEqual([]);
});

it("keeps on with other kinds and other tenants, where something cannot be read", async () => {
  await using state = await openTempState();
  for (const tenant of ["acme", "zoo"]) {
    const created_ms = state.now();
    await state.objects.put(keys.batchIndex(tenant, created_ms, "batch_1"), Buffer.of());
    await state.objects.put(keys.batchState(tenant, "batch_1"), Buffer.from("{}"));
    await state.files.publish(tenant, { id: "file-1", filename: "f", purpose: "batch", bytes: 1, expirySeconds: null });
  }
  state.advance(31 * days);
  expect(await createRetention({ ...state, retentionMs, log })()).toEqual({ ...NOTHING, files: 2 });
  expect(log.warn.mock.calls.map(([fields]) => fields.tenant)).toEqual(["acme", "zoo"]);
});

describe("what a request left that broke off", () => {
  it("goes once it has been seen for a day, and what became whole meanwhile stays", async () => {
    await using state = await openTempState();
    const removeOld = createRetention({ ...state, retentionMs, log });
    const body = Buffer.from("x");
    await state.objects.put(keys.file("t", "file-left"), body);
    await state.objects.put(keys.file("t", "file-late"), body);
    await state.objects.put(keys.batchInput("t", "batch_left"), body);
    await state.objects.put(keys.document("t", "doc_left"), body);
    await removeOld();
    state.advance(23 * hour);
    await removeOld();
    expect(await keysBelow(state, "t/t/")).toHaveLength(4);
    const late = { id: "file-late", filename: "a", purpose: "batch" as const, bytes: 1, expirySeconds: null };
    await state.files.publish("t", late);
    state.advance(2 * hour);
    await removeOld();
    expect(await keysBelow(state, "t/t/f")).toEqual([
      keys.file("t", "file-late"),
      keys.fileInfo("t", "file-late"),
      expect.stringContaining("t/t/fx/"),
    ]);
    expect([...(await keysBelow(state, "t/t/b")), ...(await keysBelow(state, "t/t/d"))]).toEqual([]);
  });
});

describe("documents past their retention", () => {
  let state: TempState;
  let documents: DocumentStore;
  let removeOld: () => Promise<Removed>;
  beforeEach(async () => {
    state = await openTempState();
    documents = createDocumentStore({ ...state, retentionMs });
    removeOld = createRetention({ ...state, retentionMs, log });
  });
  afterEach(() => state[Symbol.asyncDispose]());

  const submit = (id: string) =>
    state.jobs.submit("acme", {
      ...jobRequest,
      input: { kind: "questions", document_ids: [id], questions: ["Who?"] },
    });

  it("are not there any more for whoever asks, and go with all their objects an hour later", async () => {
    const { id } = await documents.putDocument("acme", "Minutes of the board");
    state.advance(30 * days + 1);
    expect(await documents.getDocumentInfo("acme", id)).toBeNull();
    expect((await documents.list("acme", { after: null, limit: 10 })).items).toEqual([]);
    expect(await removeOld()).toEqual(NOTHING);
    state.advance(hour);
    expect(await removeOld()).toEqual({ ...NOTHING, documents: 1 });
    expect(await keysBelow(state, "t/acme/d")).toEqual([]);
  });

  it("stay for as long as a job reads them that is not over", async () => {
    const [named, other] = [await documents.putDocument("acme", "named"), await documents.putDocument("acme", "other")];
    state.advance(29 * days);
    const { state: job } = await submit(named.id);
    state.advance(3 * days);
    expect(await removeOld()).toEqual({ ...NOTHING, documents: 1 });
    expect(await documents.getDocumentText("acme", named.id)).toBe("named");
    expect(await documents.getDocumentText("acme", other.id)).toBeNull();
    await state.jobs.cancel("acme", job.id);
    expect(await removeOld()).toEqual({ ...NOTHING, documents: 1 });
    expect(await documents.getDocumentText("acme", named.id)).toBeNull();
  });

  it("have all their time again where they are sent again late, and are listed once", async () => {
    const { id } = await documents.putDocument("acme", "text");
    state.advance(10 * days);
    expect(await documents.putDocument("acme", "text")).toMatchObject({ id, created: false });
    state.advance(10 * days);
    expect(await documents.putDocument("acme", "text")).toMatchObject({ id, created: false });
    state.advance(25 * days);
    expect(await removeOld()).toEqual(NOTHING);
    expect((await documents.list("acme", { after: null, limit: 10 })).items.map((item) => item.id)).toEqual([id]);
    state.advance(6 * days);
    expect(await removeOld()).toEqual({ ...NOTHING, documents: 1 });
    expect(await documents.putDocument("acme", "text")).toMatchObject({ id, created: true });
    expect(await documents.getDocumentText("acme", id)).toBe("text");
  });

  it("are made anew by a request that comes after their time and before their removal", async () => {
    const { id } = await documents.putDocument("acme", "text");
    state.advance(31 * days);
    expect(await documents.putDocument("acme", "text")).toMatchObject({ id, created: true });
    expect(await removeOld()).toEqual(NOTHING);
    expect(await documents.getDocumentText("acme", id)).toBe("text");
  });

  it("cannot be sent while they are being removed, nor lose what is sent after that broke off", async () => {
    const { id } = await documents.putDocument("acme", "text");
    state.advance(31 * days);
    const objects = {
      ...state.objects,
      delete: async () => {
        throw new Error("killed");
      },
    };
    expect(await createRetention({ ...state, objects, retentionMs, log })()).toEqual(NOTHING);
    await expect(documents.putDocument("acme", "text")).rejects.toMatchObject({ code: "unavailable" });
    state.advance(hour);
    expect(await documents.putDocument("acme", "text")).toMatchObject({ id, created: true });
    expect(await removeOld()).toEqual(NOTHING);
    expect(await documents.getDocumentText("acme", id)).toBe("text");
  });
});
