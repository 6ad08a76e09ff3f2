// Objects of the embedded state. A row of the database is the object: key, etag, and the body itself if it is small.
// A large body lies in a file, complete and on disk before the row that points to it is committed, and removed after
// the row is gone. So every change is one transaction, whole or not at all, a crash leaves at worst a file that no row
// names, and keys never become paths.
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { AppError } from "../../contract/errors.ts";
import { assertKey } from "../object-key.ts";
import type { Etag, ObjectStore, Put } from "../object-store.ts";
import { isMissing, openBodyFiles } from "./body-files.ts";
import type { Database } from "./database.ts";
import { createObjectRows, type Row, type Written } from "./object-rows.ts";
import type { ObjectUrls } from "./object-urls.ts";

/** Above this a body is cheaper as a file: in the database it would be written twice, to the WAL and from there. */
const inlineBytes = 64 * 1024;

type Deps = {
  /** Stays the caller's to close. */
  database: Database;
  urls: ObjectUrls;
  now: () => number;
  /** Unique, and fit for a file name. */
  newId: () => string;
};

export async function createFileObjectStore({ database, urls, now, newId }: Deps): Promise<ObjectStore> {
  const files = await openBodyFiles(join(database.directory, "bodies"), now);

  const rows = createObjectRows({ database, files });
  await files.sweep(rows.isNamed);

  async function writeBody(key: string, body: Uint8Array): Promise<Written> {
    assertKey(key);
    const etag = newId();
    if (body.length <= inlineBytes) return { etag, bytes: body.length, body };
    await files.write(etag, body);
    return { etag, bytes: body.length, body: null };
  }

  async function write(
    key: string,
    body: Uint8Array,
    allowed?: (current: Etag | null) => boolean,
  ): Promise<Etag | null> {
    const written = await writeBody(key, body);
    return rows.change([written], ({ put }) => put(key, written, allowed));
  }

  async function putSteps(steps: readonly (readonly Put[])[], check = (): void => {}): Promise<(Etag | null)[][]> {
    const bodies = new Map<Put, Written>();
    for (const put of steps.flat()) bodies.set(put, await writeBody(put.key, put.body));
    return rows.change([...bodies.values()], ({ put }) => {
      const made: (Etag | null)[][] = [];
      for (const step of steps) {
        check();
        const etags = step.map((asked) => {
          const allowed = (current: Etag | null) => !asked.ifAbsent || current === null;
          return put(asked.key, bodies.get(asked) as Written, allowed);
        });
        made.push(etags);
        if (etags.includes(null)) break;
      }
      return made;
    });
  }

  /** Reads by row and, for a body in a file, by `fromFile`. The file of a row just replaced may be gone: then by the new row. */
  async function readBody<T, F>(
    selected: () => Row | undefined,
    fromFile: (etag: Etag, row: Row) => Promise<F>,
    result: (body: Uint8Array | F, row: Row) => T | Promise<T>,
  ): Promise<T | null> {
    let gone: Etag | null = null;
    for (;;) {
      const row = database.read(selected);
      if (row === undefined) return null;
      if (row.body !== null) return result(row.body, row);
      if (row.etag === gone) throw new AppError("internal", `the file bodies/${row.etag} is missing`);
      try {
        return result(await fromFile(row.etag, row), row);
      } catch (cause) {
        if (!isMissing(cause)) throw new AppError("unavailable", "an object's body cannot be read", { cause });
        gone = row.etag;
      }
    }
  }

  return {
    async put(key, body) {
      return (await write(key, body)) as Etag;
    },

    async putStream(key, body) {
      assertKey(key);
      const etag = newId();
      const bytes = await files.writeStream(etag, body);
      const written = { etag, bytes, body: null };
      await rows.change([written], ({ put }) => put(key, written));
      return { etag, bytes };
    },

    putIfAbsent: (key, body) => write(key, body, (current) => current === null),

    putSteps,

    compareAndSwap: (key, etag, body) => write(key, body, (current) => current === etag),

    async get(key) {
      assertKey(key);
      return readBody(
        () => rows.get(key),
        (etag) => files.read(etag),
        (body, { etag }) => ({ body, etag }),
      );
    },

    async getStream(key) {
      assertKey(key);
      return readBody(
        () => rows.get(key),
        (etag) => files.open(etag),
        (body, { etag, bytes }) => ({ body: streamOf(body), bytes, etag }),
      );
    },

    async copy(from, to) {
      assertKey(from);
      assertKey(to);
      const etag = newId();
      return readBody(
        () => rows.get(from),
        (source) => files.link(source, etag),
        async (body, { bytes }) => {
          if (body !== undefined) return write(to, body);
          const written = { etag, bytes, body: null };
          return rows.change([written], ({ put }) => put(to, written));
        },
      );
    },

    async getRange(key, start, end) {
      assertKey(key);
      return readBody(
        () => rows.getSlice(key, start, end),
        async (etag, row) => {
          await using file = await files.open(etag);
          const slice = Buffer.alloc(Math.max(0, Math.min(end, row.bytes) - start));
          const { bytesRead } = await file.read(slice, 0, slice.length, start);
          return slice.subarray(0, bytesRead);
        },
        (body) => body,
      );
    },

    async list(prefix, { after = "", limit = 1000 } = {}) {
      return database.read(() => rows.list(prefix, after, limit));
    },

    async delete(key) {
      assertKey(key);
      await rows.change([], ({ remove }) => remove(key));
    },

    async presign(key, method, expiresSeconds) {
      assertKey(key);
      return urls.sign(key, method, expiresSeconds);
    },

    async close() {},
  };
}

/** The handle is closed with the stream. */
function streamOf(body: Uint8Array | FileHandle): ReadableStream<Uint8Array> {
  const readable = body instanceof Uint8Array ? Readable.from([body]) : body.createReadStream();
  return Readable.toWeb(readable) as ReadableStream<Uint8Array>;
}
