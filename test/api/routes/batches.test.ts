import { describe, expect, it, vi } from "vitest";
import { Batch, BatchList } from "../../../api/contract/batch-resource.ts";
import { AppError } from "../../../api/contract/errors.ts";
import { limits } from "../../../api/contract/limits.ts";
import { chatLines, createBatch, getBatch, readResults, uploadLines } from "../../support/batch-fixtures.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../support/test-app.ts";

const asked = (input_file_id: string, changes: object = {}) => ({
  input_file_id,
  endpoint: "/v1/chat/completions",
  completion_window: "24h",
  ...changes,
});

const post = (test: TestApp, body: unknown, headers: Record<string, string> = {}) =>
  test.post("/v1/batches", body, "application/json", headers);

/** 16 pairs, each with a key of 64 characters and a value of 512. */
const LARGEST_METADATA = Object.fromEntries(
  Array.from({ length: 16 }, (_, index) => [String(index).padStart(64, "k"), "v".repeat(512)]),
);

describe("200", () => {
  it("makes a batch that is validated within a day, and keeps its input", async () => {
    await using test = await openTestApp();
    const file = await uploadLines(test, chatLines(2));
    const response = await post(test, asked(file.id, { metadata: { night: "1" } }));
    const batch = await readJson(Batch, response);
    expect(batch).toMatchObject({
      object: "batch",
      status: "validating",
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
      input_file_id: file.id,
      model: "words",
      metadata: { night: "1" },
      request_counts: { total: 0, completed: 0, failed: 0 },
    });
    expect(batch.expires_at - batch.created_at).toBe(24 * 3600);
    await test.delete(`/v1/files/${file.id}`);
    expect(await test.state.batches.readInput({ tenant: "default", id: batch.id } as never)).toBeDefined();
  });

  it("makes the same batch once for an Idempotency-Key", async () => {
    await using test = await openTestApp();
    const { id } = await uploadLines(test, chatLines(1));
    const send = async () => readJson(Batch, await post(test, asked(id), { "Idempotency-Key": '"k"' }));
    const first = await send();
    expect((await send()).id).toBe(first.id);
    expect((await readJson(BatchList, await test.get("/v1/batches"))).data).toHaveLength(1);
    const other = await post(test, asked(id, { metadata: { a: "b" } }), { "Idempotency-Key": '"k"' });
    expect(other.status).toBe(422);
  });

  it("makes a batch that broke off in its making, when it is asked for again with the same Idempotency-Key", async () => {
    await using test = await openTestApp();
    const { id } = await uploadLines(test, chatLines(1));
    const send = () => post(test, asked(id), { "Idempotency-Key": '"k"' });
    const create = vi.spyOn(test.state.batches, "create").mockRejectedValueOnce(new Error("gone"));
    expect((await send()).status).toBe(500);
    create.mockRestore();
    const made = await readJson(Batch, await send());
    expect(made.status).toBe("validating");
    expect((await readJson(Batch, await send())).id).toBe(made.id);
    expect((await readJson(BatchList, await test.get("/v1/batches"))).data).toHaveLength(1);
  });

  it("has its input still, when the answer of its submit was lost and it is asked for again", async () => {
    await using test = await openTestApp();
    const { id } = await uploadLines(test, chatLines(1));
    const send = () => post(test, asked(id), { "Idempotency-Key": '"k"' });
    const { submit } = test.state.jobs;
    vi.spyOn(test.state.jobs, "submit").mockImplementationOnce(async (...given) => {
      await submit(...given);
      throw new AppError("unavailable", "the answer was lost");
    });
    expect((await send()).status).toBe(503);
    const { id: made } = await readJson(Batch, await send());
    expect(await test.state.batches.readInput({ tenant: "default", id: made } as never)).toBeDefined();
  });

  it("leaves nothing of a batch that is refused, or was made before", async () => {
    await using test = await openTestApp({ quota: { jobs: 1, tokens: 0 } });
    const { id } = await uploadLines(test, chatLines(1));
    const all = async () => (await test.state.objects.list("t/default/b/")).map(({ key }) => key);
    const send = () => post(test, asked(id), { "Idempotency-Key": '"k"' });
    await send();
    const before = await all();
    expect((await post(test, asked(id))).status).toBe(429);
    // As of two requests that come at the same time.
    vi.spyOn(test.state.jobs, "findByKey").mockResolvedValueOnce(null);
    await send();
    expect(await all()).toEqual(before);
  });

  it("lists batches in pages, newest first", async () => {
    await using test = await openTestApp();
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) {
      test.state.advance(1_000);
      ids.push((await createBatch(test, chatLines(1))).id);
    }
    const first = await readJson(BatchList, await test.get("/v1/batches?limit=2"));
    expect(first).toMatchObject({ first_id: ids[2], last_id: ids[1], has_more: true });
    const second = await readJson(BatchList, await test.get(`/v1/batches?limit=2&after=${first.last_id}`));
    expect(second).toMatchObject({ first_id: ids[0], last_id: ids[0], has_more: false });
  });

  it.each([limits.minFileExpirySeconds, limits.maxFileExpirySeconds])(
    "takes an `output_expires_after` of %i seconds",
    async (seconds) => {
      await using test = await openTestApp();
      const output_expires_after = { anchor: "created_at", seconds };
      const { id } = await createBatch(test, chatLines(1), { output_expires_after });
      expect((await test.state.batches.get("default", id))?.output_expires_seconds).toBe(seconds);
    },
  );

  it("takes metadata as large as OpenAI does, and gives it back", async () => {
    await using test = await openTestApp();
    const { id } = await createBatch(test, chatLines(1), { metadata: LARGEST_METADATA });
    expect((await getBatch(test, id)).metadata).toEqual(LARGEST_METADATA);
  });

  it("has no results before anything ran", async () => {
    await using test = await openTestApp();
    const { id } = await createBatch(test, chatLines(1));
    expect(await readResults(test, id)).toEqual({ lines: [], cursor: "" });
  });

  it("shows the jobs of a batch by the batch only", async () => {
    await using test = await openTestApp();
    await createBatch(test, chatLines(1));
    expect(await (await test.get("/v1/jobs")).json()).toMatchObject({ data: [] });
  });

  it("fails a batch whose validation broke its workers too often", async () => {
    await using test = await openTestApp();
    const { id } = await createBatch(test, chatLines(1));
    const [part] = await test.state.batches.parts.listOpen({ tenant: "default", id });
    await test.state.jobs.failAbandoned("default", part?.job ?? "", {
      code: "attempts_exhausted",
      message: "Gave up.",
    });
    expect(await getBatch(test, id)).toMatchObject({
      status: "failed",
      errors: { object: "list", data: [{ code: "validation_failed", line: null, message: "Gave up." }] },
    });
  });
});

describe("400", () => {
  it("names the endpoints and the window there are", async () => {
    await using test = await openTestApp();
    const { id } = await uploadLines(test, chatLines(1));
    for (const endpoint of ["/v1/embeddings", "/v1/completions", "/v1/responses"]) {
      const problem = await readProblem(await post(test, asked(id, { endpoint })));
      expect(problem).toMatchObject({ code: "invalid_request", field: "endpoint" });
      expect(problem.error).toMatchObject({ type: "invalid_request_error", param: "endpoint" });
      expect(problem.detail).toContain("`/v1/chat/completions`");
    }
    expect((await readProblem(await post(test, asked(id, { completion_window: "1h" })))).field).toBe(
      "completion_window",
    );
  });

  it.each([
    ["shorter than an hour", { seconds: 3_599 }, "seconds", "must be at least 3600"],
    ["longer than 30 days", { seconds: 2_592_001 }, "seconds", "must be at most 2592000"],
    ["of half a second", { seconds: 3_600.5 }, "seconds", "must be an integer"],
    ["of a text", { seconds: "3600" }, "seconds", "must be a number"],
    ["of no length", { seconds: undefined }, "seconds", "is missing: give a number"],
    ["from another time", { anchor: "last_active_at" }, "anchor", "must be `created_at`"],
    ["from no time", { anchor: undefined }, "anchor", "must be `created_at`"],
    ["with a field of no meaning", { days: 1 }, "days", "is not a known field: remove it"],
  ])("does not take an `output_expires_after` %s", async (_, changes, field, detail) => {
    await using test = await openTestApp();
    const { id } = await uploadLines(test, chatLines(1));
    const output_expires_after = { anchor: "created_at", seconds: 3_600, ...changes };
    const problem = await readProblem(await post(test, asked(id, { output_expires_after })));
    const named = `output_expires_after.${field}`;
    expect(problem).toMatchObject({ status: 400, code: "invalid_request", field: named });
    expect(problem.errors).toEqual([{ field: named, detail }]);
    expect(problem.error).toMatchObject({ type: "invalid_request_error", param: named });
  });

  it.each([
    ["17 pairs", { ...LARGEST_METADATA, more: "" }, "metadata", "must not have more than 16 pairs"],
    [
      "a key of 65 characters",
      { ["k".repeat(65)]: "v" },
      `metadata.${"k".repeat(65)}`,
      "has a name that must have at most 64 characters",
    ],
    ["a value of 513 characters", { night: "v".repeat(513) }, "metadata.night", "must have at most 512 characters"],
    ["a value that is no text", { night: 1 }, "metadata.night", "must be a string"],
  ])("does not take metadata with %s", async (_, metadata, field, detail) => {
    await using test = await openTestApp();
    const { id } = await uploadLines(test, chatLines(1));
    const problem = await readProblem(await post(test, asked(id, { metadata })));
    expect(problem).toMatchObject({ status: 400, code: "invalid_request", field });
    expect(problem.errors).toEqual([{ field, detail }]);
    expect(problem.error).toMatchObject({ type: "invalid_request_error", param: field });
  });

  it("does not take a file that a batch made", async () => {
    await using test = await openTestApp();
    await test.state.files.write("default", "file-x", [Buffer.from("{}")] as never);
    const file = { id: "file-x", filename: "x", purpose: "batch_output" as const, bytes: 2, expirySeconds: null };
    await test.state.files.publish("default", file);
    expect((await readProblem(await post(test, asked("file-x")))).field).toBe("input_file_id");
  });

  it("does not take a cursor of its own making", async () => {
    await using test = await openTestApp();
    const { id } = await createBatch(test, chatLines(1));
    expect((await test.get(`/v1/batches/${id}/results?after=../x`)).status).toBe(400);
  });
});

describe("404", () => {
  it.each(["/v1/batches/batch_x", "/v1/batches/batch_x/results", "/v1/batches?after=batch_x"])(
    "at %s",
    async (path) => {
      await using test = await openTestApp();
      const response = await test.get(path);
      expect(response.status).toBe(404);
      expect((await readProblem(response)).code).toBe("batch_not_found");
    },
  );

  it("for a cancel, and for a file that is not there", async () => {
    await using test = await openTestApp();
    expect((await readProblem(await test.post("/v1/batches/batch_x/cancel", ""))).code).toBe("batch_not_found");
    expect(await readProblem(await post(test, asked("file-none")))).toMatchObject({
      code: "file_not_found",
      field: "input_file_id",
    });
  });

  it("for a batch of another tenant", async () => {
    await using test = await openTestApp({ loopback: false });
    const mine = await test.makeKey("mine", ["submit", "read"]);
    const theirs = await test.makeKey("theirs", ["submit", "read"]);
    const form = new FormData();
    form.append("file", new Blob(["{}\n"]), "in.jsonl");
    form.append("purpose", "batch");
    const sent = await test.app.request("/v1/files", { method: "POST", body: form, headers: mine.headers });
    const file = (await sent.json()) as { id: string };
    expect((await post(test, asked(file.id), theirs.headers)).status).toBe(404);
    const { id } = await readJson(Batch, await post(test, asked(file.id), mine.headers));
    expect((await test.get(`/v1/batches/${id}`, mine.headers)).status).toBe(200);
    expect((await test.get(`/v1/batches/${id}`, theirs.headers)).status).toBe(404);
  });
});

it("answers 409 to the cancel of a batch that is over", async () => {
  await using test = await openTestApp();
  const { id } = await createBatch(test, chatLines(1));
  const [part] = await test.state.batches.parts.listOpen({ tenant: "default", id });
  await test.state.jobs.failAbandoned("default", part?.job ?? "", { code: "internal", message: "no" });
  const response = await test.post(`/v1/batches/${id}/cancel`, "");
  expect(response.status).toBe(409);
  expect(await readProblem(response)).toMatchObject({ code: "batch_over", batch_status: "failed" });
});

it("answers 429 to more than the quota", async () => {
  await using test = await openTestApp({ quota: { jobs: 1, tokens: 0 } });
  const { id } = await uploadLines(test, chatLines(1));
  expect((await post(test, asked(id))).status).toBe(200);
  const response = await post(test, asked(id));
  expect(response.status).toBe(429);
  expect((await test.state.objects.list("t/default/b/")).filter(({ key }) => key.endsWith("input.jsonl"))).toHaveLength(
    1,
  );
});
