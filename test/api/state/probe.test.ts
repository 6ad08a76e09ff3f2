import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { keys } from "../../../api/contract/keys.ts";
import type { ObjectStore } from "../../../api/state/object-store.ts";
import { probeObjectStore } from "../../../api/state/probe.ts";
import { openEmbedded } from "../../support/embedded-state.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

async function withStore(use: (store: ObjectStore) => Promise<void>): Promise<void> {
  await using directory = await temporaryDirectory();
  const { objects, close } = await openEmbedded(directory.path);
  await use(objects);
  await close();
}

test("a sound store passes, and nothing of the probe stays", () =>
  withStore(async (store) => {
    await probeObjectStore(store, randomUUID(), Date.now());
    expect(await store.list("")).toEqual([]);
  }));

test("what a probe left that was killed an hour ago goes, and nothing that may be in use", () =>
  withStore(async (store) => {
    const nowMs = 1_800_000_000_000;
    await store.put(keys.probe(nowMs - 3_600_001, "killed"), Buffer.from("left"));
    await store.put(keys.probe(nowMs - 3_599_000, "slow"), Buffer.from("in use"));
    await store.put("probe/of-an-earlier-version", Buffer.from("left"));
    await probeObjectStore(store, randomUUID(), nowMs);
    expect((await store.list("")).map(({ key }) => key)).toEqual([keys.probe(nowMs - 3_599_000, "slow")]);
  }));

const faults: [string, (store: ObjectStore) => Partial<ObjectStore>, RegExp][] = [
  [
    "put-if-absent overwrites",
    (store) => ({ putIfAbsent: (key, body) => store.put(key, body) }),
    /put-if-absent let 8 of 8/,
  ],
  [
    "compare-and-swap ignores the etag",
    (store) => ({ compareAndSwap: (key, _, body) => store.put(key, body) }),
    /compare-and-swap let 8 of 8/,
  ],
  ["compare-and-swap never wins", () => ({ compareAndSwap: async () => null }), /compare-and-swap let 0 of 8/],
  [
    "compare-and-swap checks only that the object exists, once it was won",
    (store) => {
      let won = false;
      return {
        async compareAndSwap(key, etag, body) {
          const swapped = await store.compareAndSwap(key, etag, body);
          if (swapped !== null) won = true;
          return swapped ?? (won && Buffer.from(body).toString().endsWith("stale") ? store.put(key, body) : null);
        },
      };
    },
    /accepted an etag that is out of date/,
  ],
  [
    "compare-and-swap creates what is absent",
    (store) => ({
      compareAndSwap: async (key, etag, body) =>
        (await store.get(key)) === null ? store.put(key, body) : store.compareAndSwap(key, etag, body),
    }),
    /wrote an object that does not exist/,
  ],
  ["reads are stale", () => ({ get: async () => ({ body: new Uint8Array(), etag: "old" }) }), /a read after/],
  ["lists are stale", () => ({ list: async () => [] }), /a list did not show/],
];

test.each(faults)("a store whose %s is refused by name", (_, fault, message) =>
  withStore(async (store) => {
    const faulty = { ...store, ...fault(store) };
    const error = await probeObjectStore(faulty, randomUUID(), Date.now()).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "store_unsuitable" });
    expect(error.message).toMatch(message);
    expect(await store.list("")).toEqual([]);
  }),
);
