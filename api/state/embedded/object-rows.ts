import type { Etag, ObjectInfo } from "../object-store.ts";
import type { BodyFiles } from "./body-files.ts";
import type { Database } from "./database.ts";

export type Row = { etag: Etag; bytes: number; body: Uint8Array | null };

/** A body on its way to its row; `body` is null if it is in the file of that name. */
export type Written = { etag: Etag; bytes: number; body: Uint8Array | null };

type Change = {
  /** Makes what was written the object if `allowed` agrees with the etag it has now (null: absent). */
  put(key: string, written: Written, allowed?: (current: Etag | null) => boolean): Etag | null;
  remove(key: string): void;
};

/** The table of objects: how it is read, and changed in step with the files of large bodies. */
export function createObjectRows({ database, files }: { database: Database; files: Pick<BodyFiles, "remove"> }) {
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

  return {
    get: (key: string) => selectRow.get(key) as Row | undefined,

    /** As get, with no more of a body in the row than from byte `start` to before `end`. */
    getSlice: (key: string, start: number, end: number) =>
      selectSlice.get(start, Math.max(0, end - start), key) as Row | undefined,

    /** Keys are printable ASCII, so every key under the prefix sorts below the prefix followed by DEL. */
    list: (prefix: string, after: string, limit: number) =>
      selectKeys.all(prefix, `${prefix}\x7f`, after, limit) as ObjectInfo[],

    /** Whether a body in a file is some object's. */
    isNamed,

    change,
  };
}
