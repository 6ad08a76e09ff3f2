import { describe, expect, it, vi } from "vitest";
import { AppError } from "../../../api/contract/errors.ts";
import { DeletedFile, FileList, File as FileResource } from "../../../api/contract/file.ts";
import { limits } from "../../../api/contract/limits.ts";
import { openTestApp, readJson, readProblem, type TestApp } from "../../support/test-app.ts";

const LINES = '{"custom_id":"a"}\n{"custom_id":"b"}\n';

type Fields = Record<string, string>;

async function post(test: TestApp, fields: Fields = { purpose: "batch" }, content: string | null = LINES) {
  const form = new FormData();
  // The file first, as OpenAI's client has it.
  if (content !== null) form.append("file", new Blob([content]), "in.jsonl");
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return test.app.request("/v1/files", { method: "POST", body: form });
}

const upload = async (test: TestApp, fields?: Fields) => readJson(FileResource, await post(test, fields));

describe("200", () => {
  it("takes a form with the file before its purpose, and keeps it for 30 days", async () => {
    await using test = await openTestApp();
    const file = await upload(test);
    expect(file).toMatchObject({ object: "file", bytes: LINES.length, filename: "in.jsonl", purpose: "batch" });
    expect((file.expires_at ?? 0) - file.created_at).toBe(limits.maxFileExpirySeconds);
    expect(await readJson(FileResource, await test.get(`/v1/files/${file.id}`))).toEqual(file);
  });

  it("gives the content back as it came", async () => {
    await using test = await openTestApp();
    const { id } = await upload(test);
    const response = await test.get(`/v1/files/${id}/content`);
    expect(response.headers.get("content-length")).toBe(String(LINES.length));
    expect(await response.text()).toBe(LINES);
  });

  it("takes a body of unknown length in pieces", async () => {
    await using test = await openTestApp();
    const boundary = "----x";
    const pieces = [
      `------x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n`,
      "one\n",
      "two",
    ];
    pieces.push(`\r\n------x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n------x--\r\n`);
    const response = await test.app.request("/v1/files", {
      method: "POST",
      headers: { "Content-Type": `multipart/form-data; boundary=${boundary}` },
      body: ReadableStream.from(pieces.map((piece) => Buffer.from(piece))),
      duplex: "half",
    } as unknown as RequestInit);
    const { id, bytes } = await readJson(FileResource, response);
    expect(bytes).toBe(7);
    expect(await (await test.get(`/v1/files/${id}/content`)).text()).toBe("one\ntwo");
  });

  it("keeps a file as long as it is asked to, and not longer", async () => {
    await using test = await openTestApp();
    const asked = { purpose: "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600" };
    const file = await upload(test, asked);
    expect((file.expires_at ?? 0) - file.created_at).toBe(3600);
    test.state.advance(3_601_000);
    expect((await test.get(`/v1/files/${file.id}`)).status).toBe(404);
    expect(await test.state.objects.list("t/default/f")).toEqual([]);
  });

  it("lists files in pages, newest or oldest first", async () => {
    await using test = await openTestApp();
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) {
      test.state.advance(1_000);
      ids.push((await upload(test)).id);
    }
    const page = async (query: string) => readJson(FileList, await test.get(`/v1/files?${query}`));
    const first = await page("limit=2");
    expect(first).toMatchObject({ first_id: ids[2], last_id: ids[1], has_more: true });
    expect(await page(`limit=2&after=${first.last_id}`)).toMatchObject({ first_id: ids[0], has_more: false });
    const oldest = await page("limit=2&order=asc");
    expect(oldest).toMatchObject({ first_id: ids[0], last_id: ids[1], has_more: true });
    expect((await page(`order=asc&after=${oldest.last_id}`)).data.map(({ id }) => id)).toEqual([ids[2]]);
    expect((await page("purpose=batch_output")).data).toEqual([]);
  });

  it("deletes", async () => {
    await using test = await openTestApp();
    const { id } = await upload(test);
    const response = await test.delete(`/v1/files/${id}`);
    expect(await readJson(DeletedFile, response)).toEqual({ object: "file", id, deleted: true });
    expect((await test.get(`/v1/files/${id}/content`)).status).toBe(404);
    expect(await test.state.objects.list("t/default/f")).toEqual([]);
  });
});

describe("400", () => {
  const refused = async (fields: Fields, content: string | null = LINES) => {
    await using test = await openTestApp();
    const response = await post(test, fields, content);
    expect(response.status).toBe(400);
    // Nothing stays of what was refused.
    expect(await test.state.objects.list("t/default/f")).toEqual([]);
    return readProblem(response);
  };

  it("refuses other purposes, and says what there is", async () => {
    const problem = await refused({ purpose: "fine-tune" });
    expect(problem).toMatchObject({ code: "invalid_request", field: "purpose" });
    expect(problem.error).toMatchObject({ type: "invalid_request_error", param: "purpose" });
    expect((await refused({})).field).toBe("purpose");
  });

  it("refuses a form without a file, or with an empty one", async () => {
    expect(await refused({ purpose: "batch" }, null)).toMatchObject({ field: "file" });
    expect(await refused({ purpose: "batch" }, "")).toMatchObject({ field: "file" });
  });

  it("refuses a life that is too short, and fields that it does not know", async () => {
    const asked = { purpose: "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60" };
    expect((await refused(asked)).field).toBe("expires_after.seconds");
    expect((await refused({ purpose: "batch", colour: "red" })).field).toBe("colour");
  });

  it("refuses a body that breaks off, or is no form", async () => {
    await using test = await openTestApp();
    const type = "multipart/form-data; boundary=x";
    const broken = `--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\none`;
    for (const body of [broken, "nothing of it", ""]) {
      const response = await test.post("/v1/files", body, type);
      expect(response.status, body).toBe(400);
      expect((await readProblem(response)).code).toBe("invalid_request");
    }
    expect((await test.post("/v1/files", "", "multipart/form-data")).status).toBe(400);
    expect(await test.state.objects.list("t/default/f")).toEqual([]);
  });
});

it("has no file without content, where the answer of its publishing was lost", async () => {
  await using test = await openTestApp();
  const { publish } = test.state.files;
  vi.spyOn(test.state.files, "publish").mockImplementationOnce(async (...file) => {
    await publish(...file);
    throw new AppError("unavailable", "the answer was lost");
  });
  expect((await post(test)).status).toBe(503);
  expect((await readJson(FileList, await test.get("/v1/files"))).data).toEqual([]);
  expect(await test.state.objects.list("t/default/f/")).toEqual([]);
});

describe("404", () => {
  it.each(["/v1/files/file-none", "/v1/files/file-none/content", "/v1/files?after=file-none"])(
    "at %s",
    async (path) => {
      await using test = await openTestApp();
      const response = await test.get(path);
      expect(response.status).toBe(404);
      expect((await readProblem(response)).code).toBe("file_not_found");
    },
  );

  it("for a file of another tenant", async () => {
    await using test = await openTestApp({ loopback: false });
    const mine = await test.makeKey("mine", ["admin"]);
    const theirs = await test.makeKey("theirs", ["admin"]);
    const form = new FormData();
    form.append("purpose", "batch");
    form.append("file", new Blob([LINES]), "in.jsonl");
    const sent = await test.app.request("/v1/files", { method: "POST", body: form, headers: mine.headers });
    const { id } = await readJson(FileResource, sent);
    expect((await test.get(`/v1/files/${id}`, mine.headers)).status).toBe(200);
    expect((await test.get(`/v1/files/${id}`, theirs.headers)).status).toBe(404);
  });
});

describe("413", () => {
  const HEAD = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n';
  const TAIL = '\r\n--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n';
  const tooLarge = { status: 413, code: "payload_too_large", limit_bytes: 200 * 1024 * 1024 };

  /** Sends a form as it is asked for, and nothing of it before that. */
  async function send(test: TestApp, pieces: Iterable<Uint8Array>, headers: Fields = {}) {
    let pulled = 0;
    const iterator = pieces[Symbol.iterator]();
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const { done, value } = iterator.next();
          if (done) return controller.close();
          pulled += value.length;
          controller.enqueue(value);
        },
      },
      { highWaterMark: 0 },
    );
    const type = { "Content-Type": "multipart/form-data; boundary=x" };
    const init = { method: "POST", headers: { ...type, ...headers }, body, duplex: "half" as const };
    const response = await test.app.request(new Request("http://localhost/v1/files", init));
    return { response, pulled };
  }

  function* endless(): Generator<Uint8Array> {
    yield Buffer.from(HEAD);
    const piece = Buffer.alloc(1024 * 1024, LINES);
    for (;;) yield piece;
  }

  it("refuses a body that says it is too large before any of it is read", async () => {
    await using test = await openTestApp();
    const { response, pulled } = await send(test, endless(), { "Content-Length": String(203 * 1024 * 1024) });
    const problem = await readProblem(response);
    expect(problem).toMatchObject(tooLarge);
    expect(problem.error).toMatchObject({ type: "invalid_request_error", code: "payload_too_large" });
    expect(pulled).toBe(0);
  });

  it("stops reading a file of unknown length soon after the limit, and keeps nothing", async () => {
    await using test = await openTestApp();
    const { response, pulled } = await send(test, endless());
    expect(await readProblem(response)).toMatchObject(tooLarge);
    expect(pulled).toBeGreaterThan(limits.batchFileBytes);
    expect(pulled).toBeLessThan(limits.batchFileBytes + 16 * 1024 * 1024);
    expect(await test.state.objects.list("t/default/f")).toEqual([]);
  });

  it("leaves room for what a form has beside the largest file", async () => {
    await using test = await openTestApp();
    const pieces = [HEAD, LINES, TAIL].map((piece) => Buffer.from(piece));
    const length = String(limits.batchFileBytes + HEAD.length + TAIL.length);
    // The body itself is short: what it says of its length is all that is looked at.
    const { response } = await send(test, pieces, { "Content-Length": length });
    expect((await readJson(FileResource, response)).bytes).toBe(LINES.length);
  });
});

it("answers 415 to a body that is no form", async () => {
  await using test = await openTestApp();
  expect((await test.post("/v1/files", { purpose: "batch" })).status).toBe(415);
});
