// The embedded state: one SQLite database in WAL mode, shared by every process that opens the same directory.
//
// A commit is visible at once and acknowledged after a sync of the WAL. SQLite's own `synchronous = FULL` would sync
// within COMMIT and hold the JavaScript thread for milliseconds each time; here `NORMAL` leaves the sync to us, off the
// thread and one for all commits that came while the one before it ran. What is lost with the power is then always a
// suffix of the history and never acknowledged. Objects and messages share the WAL for that reason: a message that was
// deleted because of a state cannot outlive it.
//
// A killed process leaves no lock behind: SQLite's locks are the kernel's and end with it.
import { mkdir, open as openFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { AppError } from "../../contract/errors.ts";
import { createCommits } from "./commits.ts";
import { guard, storeFailed } from "./guard.ts";

const schema = `
  CREATE TABLE IF NOT EXISTS objects (
    key TEXT PRIMARY KEY,
    etag TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB -- null: in the file bodies/<etag>
  ) STRICT;
  CREATE INDEX IF NOT EXISTS objects_in_files ON objects (etag) WHERE body IS NULL;
  CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    body TEXT NOT NULL,
    group_id TEXT NOT NULL,
    sent_ms INTEGER NOT NULL,
    visible_ms INTEGER NOT NULL,
    receive_count INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS messages_by_visibility ON messages (queue, visible_ms);
  CREATE INDEX IF NOT EXISTS messages_by_group ON messages (queue, group_id, visible_ms, id);
  CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
`;

/** How long a statement waits for another process's write before it is `unavailable`. */
const busyTimeoutMs = 5_000;

export type Database = {
  readonly directory: string;
  prepare(sql: string): StatementSync;
  /** Runs statements that only read. */
  read<T>(run: () => T): T;
  /**
   * Runs `run` in a transaction, alone among all processes and together with other writes that come at the same time, in
   * the order in which they were asked for; resolves when it is on disk. `run` must do nothing but change the database: it
   * is run again by itself if one of the others fails.
   */
  write<T>(run: () => T): Promise<T>;
  /** As write, but resolves before it is on disk: it gets there no later than any write after it. */
  writeSoon<T>(run: () => T): Promise<T>;
  close(): Promise<void>;
};

/** Opens or creates the database in `directory`. Throws AppError `unavailable`. */
export async function openDatabase(directory: string): Promise<Database> {
  try {
    return await open(directory);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AppError("unavailable", `the state directory ${directory} cannot be opened: ${reason}`, { cause });
  }
}

async function open(directory: string): Promise<Database> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, "state.db");
  const db = new DatabaseSync(path, { timeout: busyTimeoutMs });
  await enterWalMode(db);
  db.exec(`PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE; ${schema} COMMIT`);
  // Closing a descriptor of the database file itself would drop this process's locks on it; the WAL carries none.
  const wal = await openFile(`${path}-wal`, "r");
  await syncDirectory(directory);

  let running = Promise.resolve();
  let next: Promise<void> | null = null;

  /** Resolves when all commits so far are on disk. After one failure every later call fails: what the kernel then holds is unknown. */
  function synced(): Promise<void> {
    next ??= running.then(() => {
      next = null;
      running = wal.datasync();
      return running;
    });
    return next;
  }

  const commits = createCommits(db);

  return {
    directory,
    prepare: (sql) => db.prepare(sql),
    read: guard,

    async write(run) {
      const value = await commits.run(run);
      await synced().catch((cause) => {
        throw storeFailed("the state directory cannot be synced to disk", cause);
      });
      return value;
    },

    writeSoon: commits.run,

    async close() {
      await commits.idle();
      await synced().catch(() => {});
      await wal.close();
      db.close();
    },
  };
}

/** The switch to WAL fails at once while another process makes it too: SQLite does not wait there. */
async function enterWalMode(db: DatabaseSync): Promise<void> {
  const deadline = performance.now() + busyTimeoutMs;
  for (;;) {
    try {
      db.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(20);
    }
  }
}

/** Makes created, renamed and removed names in `directory` survive a power loss. */
export async function syncDirectory(directory: string): Promise<void> {
  await using handle = await openFile(directory, "r");
  await handle.sync();
}
