// Objects of the embedded state. A row of the database is the object: key, etag, and the body itself if it is small.
// A large body lies in a file of its own, named by its etag, complete and on disk before the row that points to it is
// committed, and removed after the row is gone. So every change is one transaction, whole or not at all, a crash leaves
// at worst a file that no row names, and keys never become paths.
import { type FileHandle, link, mkdir, open, readdir, readFile, rm, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { AppError } from "../../contract/errors.ts";
import { assertKey } from "../object-key.ts";
import type { Etag, ObjectInfo, ObjectStore } from "../object-store.ts";
import { type Database, syncDirectory } from "./database.ts";
import type { ObjectUrls } from "./object-urls.ts";

/** Above this a body is cheaper as a file: in the database it would be written twice, to the WAL and from there. */
const inlineBytes = 64 * 1024;

/** No put takes longer between its file and its row; files without a row are litter after that. */
const orphanAgeMs = 60 * 60 * 1000;

type Row = { etag: Etag; bytes: number; body: Uint8Array | null };

type Deps = {
  /** Stays the caller's to close. */
  database: Database;
  urls: ObjectUrls;
  now: () => number;
  /** Unique, and fit for a file name. */
  newId: () => string;
};

export async function createFileObjectStore({ database, urls, now, newId }: Deps): Promise<ObjectStore> {
  const bodies = join(database.directory, "bodies");
  await mkdir(bodies, { recursive: true });

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

  await sweep();

  /** Writes the object if `allowed` agrees with the etag it has now (null: absent). */
  async function write(
    key: string,
    body: Uint8Array,
    allowed: (current: Etag | null) => boolean,
  ): Promise<Etag | null> {
    assertKey(key);
    const etag = newId();
    const inFile = body.length > inlineBytes;
    const commit = () =>
      database.write(() => {
        const current = selectEtag.get(key) as { etag: Etag; in_file: number } | undefined;
        if (!allowed(current?.etag ?? null)) return { written: false, orphan: inFile ? etag : null };
        upsert.run(key, etag, body.length, inFile ? null : body);
        return { written: true, orphan: current?.in_file ? current.etag : null };
      });
    const store = async () => {
      await writeBody(etag, body);
      return commit();
    };
    const { written, orphan } = await (inFile ? unlessFailed(etag, store) : commit());
    if (orphan !== null) await rm(join(bodies, orphan), { force: true });
    return written ? etag : null;
  }

  /** A body that did not become an object's takes no room: the disk may be full. One whose row is there stays, synced or not. */
  async function unlessFailed<T>(etag: Etag, store: () => Promise<T>): Promise<T> {
    try {
      return await store();
    } catch (error) {
      if (database.read(() => selectFile.get(etag)) === undefined) await rm(join(bodies, etag), { force: true });
      throw error;
    }
  }

  /** Makes the file `etag`, complete and on disk, the body of the object. */
  async function adopt(key: string, etag: Etag, bytes: number): Promise<void> {
    const orphan = await database.write(() => {
      const current = selectEtag.get(key) as { etag: Etag; in_file: number } | undefined;
      upsert.run(key, etag, bytes, null);
      return current?.in_file ? current.etag : null;
    });
    if (orphan !== null) await rm(join(bodies, orphan), { force: true });
  }

  async function writeBody(etag: Etag, body: Uint8Array): Promise<void> {
    try {
      await using file = await open(join(bodies, etag), "wx");
      await file.writeFile(body);
      await file.datasync();
      await syncDirectory(bodies);
    } catch (cause) {
      throw new AppError("unavailable", "an object's body cannot be written", { cause });
    }
  }

  /** Reads by row and, for a body in a file, by `fromFile`. The file of a row just replaced may be gone: then by the new row. */
  async function readBody<T, F>(
    selected: () => Row | undefined,
    fromFile: (path: string, row: Row) => Promise<F>,
    result: (body: Uint8Array | F, row: Row) => T | Promise<T>,
  ): Promise<T | null> {
    let gone: Etag | null = null;
    for (;;) {
      const row = database.read(selected);
      if (row === undefined) return null;
      if (row.body !== null) return result(row.body, row);
      if (row.etag === gone) throw new AppError("internal", `the file bodies/${row.etag} is missing`);
      try {
        return result(await fromFile(join(bodies, row.etag), row), row);
      } catch (cause) {
        if (!isMissing(cause)) throw new AppError("unavailable", "an object's body cannot be read", { cause });
        gone = row.etag;
      }
    }
  }

  async function sweep(): Promise<void> {
    for (const name of await readdir(bodies)) {
      const path = join(bodies, name);
      const info = await stat(path).catch(() => null);
      const old = info !== null && info.mtimeMs < now() - orphanAgeMs;
      if (old && database.read(() => selectFile.get(name)) === undefined) await unlink(path).catch(() => {});
    }
  }

  return {
    async put(key, body) {
      return (await write(key, body, () => true)) as Etag;
    },

    async putStream(key, body) {
      assertKey(key);
      const etag = newId();
      return unlessFailed(etag, async () => {
        const bytes = await writeStream(join(bodies, etag), body);
        await syncDirectory(bodies);
        await adopt(key, etag, bytes);
        return { etag, bytes };
      });
    },

    putIfAbsent: (key, body) => write(key, body, (current) => current === null),

    compareAndSwap: (key, etag, body) => write(key, body, (current) => current === etag),

    async get(key) {
      assertKey(key);
      return readBody(
        () => selectRow.get(key) as Row | undefined,
        (path) => readFile(path),
        (body, { etag }) => ({ body, etag }),
      );
    },

    async getStream(key) {
      assertKey(key);
      return readBody(
        () => selectRow.get(key) as Row | undefined,
        (path) => open(path, "r"),
        (body, { etag, bytes }) => ({ body: streamOf(body), bytes, etag }),
      );
    },

    async copy(from, to) {
      assertKey(from);
      assertKey(to);
      const etag = newId();
      return readBody(
        () => selectRow.get(from) as Row | undefined,
        // A second name of the same bytes: bodies never change.
        (path) => link(path, join(bodies, etag)),
        async (body, { bytes }) => {
          if (body !== undefined) return write(to, body, () => true);
          return unlessFailed(etag, async () => {
            await syncDirectory(bodies);
            await adopt(to, etag, bytes);
            return etag;
          });
        },
      );
    },

    async getRange(key, start, end) {
      assertKey(key);
      return readBody(
        () => selectSlice.get(start, Math.max(0, end - start), key) as Row | undefined,
        async (path, row) => {
          await using file = await open(path, "r");
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
      const file = await database.write(() => {
        const current = selectEtag.get(key) as { etag: Etag; in_file: number } | undefined;
        remove.run(key);
        return current?.in_file ? current.etag : null;
      });
      if (file !== null) await rm(join(bodies, file), { force: true });
    },

    async presign(key, method, expiresSeconds) {
      assertKey(key);
      return urls.sign(key, method, expiresSeconds);
    },

    async close() {},
  };
}

async function writeStream(path: string, body: AsyncIterable<Uint8Array>): Promise<number> {
  await using file = await open(path, "wx").catch(rethrow);
  let bytes = 0;
  for await (const chunk of body) {
    await file.appendFile(chunk).catch(rethrow);
    bytes += chunk.length;
  }
  await file.datasync().catch(rethrow);
  return bytes;
}

function rethrow(cause: unknown): never {
  throw new AppError("unavailable", "an object's body cannot be written", { cause });
}

/** The handle is closed with the stream. */
function streamOf(body: Uint8Array | FileHandle): ReadableStream<Uint8Array> {
  const readable = body instanceof Uint8Array ? Readable.from([body]) : body.createReadStream();
  return Readable.toWeb(readable) as ReadableStream<Uint8Array>;
}

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT";
