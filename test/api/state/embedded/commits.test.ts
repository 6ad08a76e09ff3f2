import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createCommits } from "../../../../api/state/embedded/commits.ts";

let db: DatabaseSync;
let commits: ReturnType<typeof createCommits>;
beforeEach(() => {
  db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE numbers (n INTEGER PRIMARY KEY) STRICT");
  commits = createCommits(db);
});
afterEach(() => db.close());

const add = (n: number) => () => {
  db.prepare("INSERT INTO numbers VALUES (?)").run(n);
  return n;
};
const all = () =>
  db
    .prepare("SELECT n FROM numbers ORDER BY rowid")
    .all()
    .map(({ n }) => n);

it("runs writes in the order in which they came, those of one turn in one transaction", async () => {
  const inside: boolean[] = [];
  const seen = commits.run(() => {
    inside.push(db.isTransaction);
    return all();
  });
  const writes = [1, 2, 3].map((n) => commits.run(add(n)));
  const last = commits.run(all);
  expect(await seen).toEqual([]);
  expect(await Promise.all(writes)).toEqual([1, 2, 3]);
  expect(await last).toEqual([1, 2, 3]);
  expect(inside).toEqual([true]);
});

it("fails only the write that is to blame, with what it threw", async () => {
  const writes = [1, 1, 2].map((n) => commits.run(add(n)));
  const mine = commits.run(() => {
    throw new RangeError("mine");
  });
  const [first, again, other] = await Promise.allSettled(writes);
  expect(first).toEqual({ status: "fulfilled", value: 1 });
  expect(again).toMatchObject({ status: "rejected", reason: { code: "unavailable" } });
  expect(other).toEqual({ status: "fulfilled", value: 2 });
  await expect(mine).rejects.toThrow(RangeError);
  expect(all()).toEqual([1, 2]);
});

it("waits at its end for what has come, however much", async () => {
  const writes = Array.from({ length: 500 }, (_, n) => commits.run(add(n)));
  await commits.idle();
  expect(all()).toHaveLength(500);
  await Promise.all(writes);
});
