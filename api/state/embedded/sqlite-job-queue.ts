// The queue of the embedded state. A message is visible when its `visible_ms` has come; receiving moves that into the
// future and counts. The receipt names message and count, so it ends with the next receive or the move to the dead
// letters, and needs no column of its own. Groups take turns, as in SQS's fair queues: however many messages one of them
// has, the others wait for one each.
import type { JobQueue, OutgoingMessage, ReceivedMessage } from "../job-queue.ts";
import type { Database } from "./database.ts";

/** How often a waiting receive looks for messages of other processes, and for ones that became visible again. */
const pollMs = 50;

type Options = {
  /** Stays the caller's to close. */
  database: Database;
  name: string;
  /** Milliseconds since the epoch. Processes that share the directory share the machine's clock. */
  now: () => number;
  maxReceives: number;
};

type Row = { id: number; body: string; receive_count: number };
type Group = { group_id: string };

export function createSqliteJobQueue({ database, name, now, maxReceives }: Options): JobQueue {
  const deadName = `${name}-dead`;
  const dead = queueNamed({ database, name: deadName, now, maxReceives: Infinity, deadName, deadLetter: null });
  return queueNamed({ database, name, now, maxReceives, deadName, deadLetter: dead });
}

type QueueOptions = Options & { deadName: string; deadLetter: JobQueue | null };

function queueNamed({ database, name, now, maxReceives, deadName, deadLetter }: QueueOptions): JobQueue {
  const insert = database.prepare(
    "INSERT INTO messages (queue, body, group_id, sent_ms, visible_ms, receive_count) VALUES (?, ?, ?, ?, ?, 0)",
  );
  const selectAny = database.prepare("SELECT 1 FROM messages WHERE queue = ? AND visible_ms <= ? LIMIT 1");
  const selectGroup = database.prepare(
    "SELECT group_id FROM messages WHERE queue = ? AND group_id >= ? ORDER BY group_id LIMIT 1",
  );
  const selectNextGroup = database.prepare(
    "SELECT group_id FROM messages WHERE queue = ? AND group_id > ? ORDER BY group_id LIMIT 1",
  );
  const selectVisible = database.prepare(
    "SELECT id, body, receive_count FROM messages WHERE queue = ? AND group_id = ? AND visible_ms <= ? ORDER BY visible_ms, id LIMIT 1",
  );
  const take = database.prepare(
    "UPDATE messages SET visible_ms = ?, receive_count = receive_count + 1 WHERE id = ? RETURNING id, body, receive_count",
  );
  const bury = database.prepare("UPDATE messages SET queue = ?, visible_ms = ? WHERE id = ?");
  // Only while in flight: once visible again the message is anyone's, as in SQS.
  const hide = database.prepare(
    "UPDATE messages SET visible_ms = ? WHERE id = ? AND receive_count = ? AND queue = ? AND visible_ms > ?",
  );
  const remove = database.prepare("DELETE FROM messages WHERE id = ? AND receive_count = ? AND queue = ?");

  /** The group that had its turn last, in this process. */
  let served = "";
  const waiting = new Set<() => void>();
  let closed = false;
  const wakeAll = () => {
    for (const wake of waiting) wake();
  };

  /** Resolves after `ms`, or earlier if something may have become visible, the signal is aborted or the queue closed. */
  const pause = (ms: number, signal: AbortSignal | undefined) =>
    new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal?.addEventListener("abort", wake);
      waiting.add(wake);
    });

  /** The oldest visible message of the next group that has one. */
  function nextVisible(nowMs: number): Row | undefined {
    let group = (selectNextGroup.get(name, served) ?? selectGroup.get(name, "")) as Group | undefined;
    for (const first = group?.group_id; group !== undefined; ) {
      const row = selectVisible.get(name, group.group_id, nowMs) as Row | undefined;
      if (row !== undefined) {
        served = group.group_id;
        return row;
      }
      group = (selectNextGroup.get(name, group.group_id) ?? selectGroup.get(name, "")) as Group | undefined;
      if (group?.group_id === first) return undefined;
    }
    return undefined;
  }

  /** Moves exhausted messages away on its way to others. */
  function takeVisible(max: number, visibilityMs: number): ReceivedMessage[] {
    const nowMs = now();
    const taken: ReceivedMessage[] = [];
    while (taken.length < max) {
      const row = nextVisible(nowMs);
      if (row === undefined) break;
      if (row.receive_count >= maxReceives) bury.run(deadName, nowMs, row.id);
      else taken.push(received(take.get(nowMs + visibilityMs, row.id) as Row));
    }
    return taken;
  }

  async function sendBatch(messages: OutgoingMessage[]): Promise<void> {
    if (messages.length === 0) return;
    // Not waited for until it is on disk: with the power nothing is lost that was written before it, so whoever wrote down
    // that there is something to send still finds that, and nothing that says it was sent.
    await database.writeSoon(() => {
      const nowMs = now();
      for (const { body, groupId, delaySeconds = 0 } of messages) {
        insert.run(name, body, groupId ?? "", nowMs, nowMs + delaySeconds * 1000);
      }
    });
    wakeAll();
  }

  return {
    send: (message) => sendBatch([message]),
    sendBatch,

    async receive({ max, waitMs, visibilityMs, signal }) {
      const deadline = performance.now() + waitMs;
      while (!closed && !signal?.aborted) {
        // A look without the write lock first: idle workers must not hold up the API.
        if (database.read(() => selectAny.get(name, now())) !== undefined) {
          const taken = await database.write(() => takeVisible(max, visibilityMs));
          if (taken.length > 0) return taken;
        }
        const remaining = deadline - performance.now();
        if (remaining <= 0) break;
        await pause(Math.min(remaining, pollMs), signal);
      }
      return [];
    },

    async extend(receipt, visibilityMs) {
      const { id, count } = parseReceipt(receipt);
      const nowMs = now();
      const { changes } = await database.write(() => hide.run(nowMs + visibilityMs, id, count, name, nowMs));
      if (visibilityMs === 0) wakeAll();
      return changes === 1;
    },

    async delete(receipt) {
      const { id, count } = parseReceipt(receipt);
      const { changes } = await database.write(() => remove.run(id, count, name));
      return changes === 1;
    },

    deadLetter,

    async close() {
      closed = true;
      wakeAll();
      await deadLetter?.close();
    },
  };
}

const received = ({ id, body, receive_count }: Row): ReceivedMessage => ({
  id: String(id),
  body,
  receipt: `${id}.${receive_count}`,
  receiveCount: receive_count,
});

function parseReceipt(receipt: string): { id: number; count: number } {
  const [id, count] = receipt.split(".").map(Number);
  return { id: id ?? 0, count: count ?? 0 };
}
