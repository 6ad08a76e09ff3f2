import type { DatabaseSync } from "node:sqlite";
import { guard } from "./guard.ts";

type Write = { run: () => unknown; resolve: (value: unknown) => void; reject: (error: unknown) => void };

/** A transaction holds up everybody else; so many small writes take a millisecond or two. */
const writesAtOnce = 64;

/**
 * Commits writes in the order in which they come, all that came in one turn of the event loop as one transaction: the
 * commit, with its locks and its write to the log, costs more than most of what is in it.
 */
export function createCommits(db: DatabaseSync) {
  const waiting: Write[] = [];
  let whenIdle: () => void = () => {};

  function transaction<T>(run: () => T): T {
    return guard(() => {
      db.exec("BEGIN IMMEDIATE");
      try {
        const value = run();
        db.exec("COMMIT");
        return value;
      } catch (error) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw error;
      }
    });
  }

  function commit(writes: readonly Write[]): void {
    try {
      const values = transaction(() => writes.map(({ run }) => run()));
      for (const [index, { resolve }] of writes.entries()) resolve(values[index]);
    } catch (error) {
      const [only, ...others] = writes;
      if (others.length === 0) only?.reject(error);
      // One of them is to blame, and the others must not fail with it.
      else for (const write of writes) commit([write]);
    }
  }

  function commitWaiting(): void {
    const writes = waiting.splice(0, writesAtOnce);
    if (waiting.length > 0) setImmediate(commitWaiting);
    commit(writes);
    if (waiting.length === 0) whenIdle();
  }

  return {
    /** Resolves when it is committed: everybody sees it, and a loss of power may still undo it. */
    run: <T>(run: () => T): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        waiting.push({ run, resolve: (value) => resolve(value as T), reject });
        if (waiting.length === 1) setImmediate(commitWaiting);
      }),

    async idle(): Promise<void> {
      if (waiting.length > 0) {
        await new Promise<void>((resolve) => {
          whenIdle = resolve;
        });
      }
    },
  };
}
