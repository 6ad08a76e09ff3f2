// Objects of the embedded state. A row of the database is the object: key, etag, and the body itself if it is small.
// A large body lies in a file, complete and on disk before the row that points to it is committed, and removed after
// the row is gone. So every change is one transaction, whole or not at all, a crash leaves at worst a file that no row
// names, and keys never become paths.
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { AppError } from "../../contract/errors.ts";
import { assertKey } from "../object-key.ts";
import type { Etag, ObjectInfo, ObjectStore, Put } from "../object-store.ts";
import { isMissing, openBodyFiles } from "./body-files.ts";
import type { Database } from "./database.ts";
import type { ObjectUrls } from "./object-urls.ts";

/** Above this a body is cheaper as a file: in the database it would be written twice, to the WAL and from there. */
const inlineBytes = 64 * 1024;

type Row = { etag: Etag; bytes: number; body: Uint8Array | null };

/** A body on its way to its row; `body` is null if it is in the file of that name. */
type Written = { etag: Etag; bytes: number; body: Uint8Array | null };

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

  const selectRow = database.prepare("SELECT etag, bytes, body FROM objects WHERE key = ?");
  const selectEtag = database.prepare("SELECT etag, body IS NULL AS in_file FROM objects WHERE key = ?");
  const selectSlice = database.prepare(
    "SELECT etag, bytes, CASE WHEN body IS NULL THEN NULL ELSE substr(body, ? + 1, ?) END AS body FROM objects WHERE key = ?",
  );
  const selectKeys = database.prepare(
    "SELECT key, bytes, etag FROM objects WHERE key >= ? AND key < ? AND key > ? ORDER BY key LIMIT ?",
  );
  const upsert = database.prepare(
    `INSERT INTO objects (key, etag, bytes, body) VALUES (?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET etag = excluded.etag, bytes = excluded.bytes, body = excluded.body`,
  );
  const remove = database.prepare("DELETE FROM objects WHERE key = ?");
  const selectFile = database.prepare("SELECT 1 FROM objects WHERE etag = ? AND body IS NULL");

  const isNamed = (etag: Etag): boolean => database.read(() => selectFile.get(etag)) !== undefined;
  await files.sweep(isNamed);

  async function writeBody(key: string, body: Uint8Array): Promise<Written> {
    assertKey(key);
    const etag = newId();
    if (body.length <= inlineBytes) return { etag, bytes: body.length, body };
    await files.write(etag, body);
    return { etag, bytes: body.length, body: null };
  }

  type Change = {
    /** Makes what was written the object if `allowed` agrees with the etag it has now (null: absent). */
    put(key: string, written: Written, allowed?: (current: Etag | null) => boolean): Etag | null;
    remove(key: string): void;
  };

  /** Changes rows in one transaction, then removes the files that it left without one, those of `written` among them. */
  async function change<T>(written: readonly Written[], run: (change: Change) => T): Promise<T> {
    let freed: Etag[] = [];
    let named = new Set<Etag>();
    const current = (key: string) => selectEtag.get(key) as { etag: Etag; in_file: number } | undefined;
    const free = (key: string): void => {
      const replaced = current(key);
      if (replaced?.in_file) freed.push(replaced.etag);
    };
    const inFiles = written.filter(({ body }) => body === null).map(({ etag }) => etag);
    try {
      const result = await database.write(() => {
        // A transaction that failed with others is run again by itself.
        freed = [];
        named = new Set();
        return run({
          put(key, { etag, bytes, body }, allowed = () => true) {
            if (!allowed(current(key)?.etag ?? null)) return null;
            free(key);
            upsert.run(key, etag, bytes, body);
            named.add(etag);
            return etag;
          },
          remove(key) {
            free(key);
            remove.run(key);
          },
        });
      });
      for (const etag of [...freed, ...inFiles.filter((etag) => !named.has(etag))]) await files.remove(etag);
      return result;
    } catch (error) {
      // It may have been committed all the same. What was freed stays: after a loss of power its row may be back.
      for (const etag of inFiles) if (!isNamed(etag)) await files.remove(etag);
      throw error;
    }
  }

  async function write(
    key: string,
    body: Uint8Array,
    allowed?: (current: Etag | null) => boolean,
  ): Promise<Etag | null> {
    const written = await writeBody(key, body);
    return change([written], ({ put }) => put(key, written, allowed));
  }

  async function putSteps(steps: readonly (readonly Put[])[], check = (): void => {}): Promise<(Etag | null)[][]> {
    const bodies = new Map<Put, Written>();
    for (const put of steps.flat()) bodies.set(put, await writeBody(put.key, put.body));
    return change([...bodies.values()], ({ put }) => {
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
      await change([written], ({ put }) => put(key, written));
      return { etag, bytes };
    },

    putIfAbsent: (key, body) => write(key, body, (current) => current === null),

    putSteps,

    compareAndSwap: (key, etag, body) => write(key, body, (current) => current === etag),

    async get(key) {
      assertKey(key);
      return readBody(
        () => selectRow.get(key) as Row | undefined,
        (etag) => files.read(etag),
        (body, { etag }) => ({ body, etag }),
      );
    },

    async getStream(key) {
      assertKey(key);
      return readBody(
        () => selectRow.get(key) as Row | undefined,
        (etag) => files.open(etag),
        (body, { etag, bytes }) => ({ body: streamOf(body), bytes, etag }),
      );
    },

    async copy(from, to) {
      assertKey(from);
      assertKey(to);
      const etag = newId();
      return readBody(
        () => selectRow.get(from) as Row | undefined,
        (source) => files.link(source, etag),
        async (body, { bytes }) => {
          if (body !== undefined) return write(to, body);
          const written = { etag, bytes, body: null };
          return change([written], ({ put }) => put(to, written));
        },
      );
    },

    async getRange(key, start, end) {
      assertKey(key);
      return readBody(
        () => selectSlice.get(start, Math.max(0, end - start), key) as Row | undefined,
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
      // Keys are printable ASCII, so every key under the prefix sorts below the prefix followed by DEL.
      return database.read(() => selectKeys.all(prefix, `${prefix}\x7f`, after, limit)) as ObjectInfo[];
    },

    async delete(key) {
      assertKey(key);
      await change([], (rows) => rows.remove(key));
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
