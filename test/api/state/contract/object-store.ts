import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { AppError } from "../../../../api/contract/errors.ts";
import type { ObjectStore } from "../../../../api/state/object-store.ts";

const bytes = (text: string) => Buffer.from(text);
const random = (length: number): Uint8Array => randomBytes(length);

async function* chunksOf(body: Uint8Array) {
  for (let at = 0; at < body.length; at += 300_000) yield body.subarray(at, at + 300_000);
}

type Opened = { store: ObjectStore; close: () => Promise<void> };

/** What every adapter of the object store must do. `skip` is the reason not to run, shown in the report. */
export function describeObjectStore(name: string, open: () => Promise<Opened>, skip: string | null = null): void {
  describe.skipIf(skip !== null)(skip === null ? name : `${name}: ${skip}`, () => {
    let opened: Opened;
    let store: ObjectStore;
    /** A prefix for each test, as all share one store. */
    let under: string;

    beforeAll(async () => {
      opened = await open();
      store = opened.store;
    });
    afterAll(() => opened?.close());
    beforeEach(() => {
      under = `t/${crypto.randomUUID()}`;
    });

    test("an object reads back as it was put, and the latest put wins", async () => {
      const key = `${under}/a b+c=d&e~(f).json`;
      await store.put(key, bytes("one"));
      const etag = await store.put(key, bytes("two"));
      const object = await store.get(key);
      expect(Buffer.from(object?.body ?? []).toString()).toBe("two");
      expect(object?.etag).toBe(etag);
    });

    test.each([0, 1, 64 * 1024, 64 * 1024 + 1, 3_000_000])("a body of %i bytes reads back exactly", async (length) => {
      const body = random(length);
      await store.put(`${under}/body`, body);
      const read = (await store.get(`${under}/body`))?.body;
      expect(Buffer.compare(read ?? bytes("absent"), body)).toBe(0);
    });

    test.each([0, 1, 64 * 1024, 20_000_000])("a stream of %i bytes is put, read and copied exactly", async (length) => {
      const body = random(length);
      const { etag, bytes: put } = await store.putStream(`${under}/stream`, chunksOf(body));
      expect(put).toBe(length);
      const streamed = await store.getStream(`${under}/stream`);
      expect(streamed).toMatchObject({ bytes: length, etag });
      expect(Buffer.compare(Buffer.from(await new Response(streamed?.body).arrayBuffer()), body)).toBe(0);
      const copied = await store.copy(`${under}/stream`, `${under}/a copy+of`);
      await store.delete(`${under}/stream`);
      const copy = await store.get(`${under}/a copy+of`);
      expect(Buffer.compare(copy?.body ?? bytes("absent"), body)).toBe(0);
      expect(copy?.etag).toBe(copied);
    });

    test("a stream that breaks off changes nothing and says why", async () => {
      await store.put(`${under}/kept`, bytes("kept"));
      const cut = async function* () {
        yield random(1_000_000);
        throw new AppError("payload_too_large", "cut");
      };
      await expect(store.putStream(`${under}/kept`, cut())).rejects.toMatchObject({ code: "payload_too_large" });
      expect(Buffer.from((await store.get(`${under}/kept`))?.body ?? []).toString()).toBe("kept");
    });

    test("a stream read halfway can be cancelled", async () => {
      await store.put(`${under}/long`, random(3_000_000));
      const reader = (await store.getStream(`${under}/long`))?.body.getReader();
      expect((await reader?.read())?.value?.length).toBeGreaterThan(0);
      await reader?.cancel();
    });

    test("an absent object is null to every read", async () => {
      expect(await store.getStream(`${under}/absent`)).toBeNull();
      expect(await store.copy(`${under}/absent`, `${under}/copy`)).toBeNull();
      expect(await store.get(`${under}/absent`)).toBeNull();
      expect(await store.getRange(`${under}/absent`, 0, 10)).toBeNull();
      expect(await store.getRange(`${under}/absent`, 0, 0)).toBeNull();
    });

    test.each([100, 200_000])("ranges of an object of %i bytes are clipped to it", async (length) => {
      const body = random(length);
      await store.put(`${under}/ranged`, body);
      const spans = [
        [0, 10],
        [5, 5],
        [90, 1_000_000],
        [length - 1, length],
        [length, length + 5],
        [0, length],
      ] as const;
      for (const [start, end] of spans) {
        const range = await store.getRange(`${under}/ranged`, start, end);
        expect(Buffer.compare(range ?? bytes("absent"), body.subarray(start, end)), `${start}-${end}`).toBe(0);
      }
    });

    test("put-if-absent creates once and then refuses", async () => {
      const etag = await store.putIfAbsent(`${under}/once`, bytes("first"));
      expect(etag).not.toBeNull();
      expect(await store.putIfAbsent(`${under}/once`, bytes("second"))).toBeNull();
      const object = await store.get(`${under}/once`);
      expect(object?.etag).toBe(etag);
      expect(Buffer.from(object?.body ?? []).toString()).toBe("first");
    });

    test("put-if-absent creates again after a delete", async () => {
      await store.putIfAbsent(`${under}/again`, bytes("first"));
      await store.delete(`${under}/again`);
      expect(await store.putIfAbsent(`${under}/again`, bytes("second"))).not.toBeNull();
    });

    test("puts in steps are all made, small and large, and say their etags", async () => {
      const large = random(200_000);
      const made = await store.putSteps([
        [{ key: `${under}/first`, body: bytes("1") }],
        [
          { key: `${under}/second`, body: large, ifAbsent: true },
          { key: `${under}/third`, body: bytes("3") },
        ],
      ]);
      expect(made.map((etags) => etags.length)).toEqual([1, 2]);
      for (const [key, etag] of [
        ["first", made[0]?.[0]],
        ["second", made[1]?.[0]],
        ["third", made[1]?.[1]],
      ]) {
        expect((await store.get(`${under}/${key}`))?.etag).toBe(etag);
      }
      expect(Buffer.compare((await store.get(`${under}/second`))?.body ?? bytes("absent"), large)).toBe(0);
    });

    test("of puts in steps nothing is made after a step whose key is taken", async () => {
      await store.put(`${under}/taken`, bytes("before"));
      const made = await store.putSteps([
        [{ key: `${under}/first`, body: bytes("1") }],
        [{ key: `${under}/taken`, body: random(200_000), ifAbsent: true }],
        [{ key: `${under}/last`, body: bytes("3") }],
      ]);
      expect(made).toEqual([[expect.any(String)], [null]]);
      expect(Buffer.from((await store.get(`${under}/taken`))?.body ?? []).toString()).toBe("before");
      expect(await store.get(`${under}/last`)).toBeNull();
    });

    test("of puts in steps nothing is made from the step on whose check throws", async () => {
      let checks = 0;
      const check = () => {
        checks += 1;
        if (checks === 2) throw new AppError("unavailable", "too late");
      };
      const steps = [[{ key: `${under}/first`, body: bytes("1") }], [{ key: `${under}/last`, body: bytes("2") }]];
      await expect(store.putSteps(steps, check)).rejects.toMatchObject({ code: "unavailable" });
      expect(await store.get(`${under}/last`)).toBeNull();
    });

    test("compare-and-swap replaces only the version it names", async () => {
      const key = `${under}/state`;
      const first = await store.put(key, bytes("1"));
      const second = await store.compareAndSwap(key, first, bytes("2"));
      expect(second).not.toBeNull();
      expect(await store.compareAndSwap(key, first, bytes("late"))).toBeNull();
      expect(Buffer.from((await store.get(key))?.body ?? []).toString()).toBe("2");
      expect(await store.compareAndSwap(key, second as string, bytes("3"))).not.toBeNull();
    });

    test("compare-and-swap does not bring a deleted object back", async () => {
      const etag = await store.put(`${under}/gone`, bytes("1"));
      await store.delete(`${under}/gone`);
      expect(await store.compareAndSwap(`${under}/gone`, etag, bytes("2"))).toBeNull();
      expect(await store.get(`${under}/gone`)).toBeNull();
    });

    test.each([10, 100_000])(
      "of 20 concurrent creators of %i bytes one wins, and its body is there",
      async (length) => {
        const contenders = Array.from({ length: 20 }, () => random(length));
        const etags = await Promise.all(contenders.map((body) => store.putIfAbsent(`${under}/race`, body)));
        const winner = etags.findIndex((etag) => etag !== null);
        expect(etags.filter((etag) => etag !== null)).toHaveLength(1);
        const object = await store.get(`${under}/race`);
        expect(object?.etag).toBe(etags[winner]);
        expect(Buffer.compare(object?.body ?? bytes(""), contenders[winner] ?? bytes("none"))).toBe(0);
      },
    );

    test.each([10, 100_000])("of 20 concurrent swaps to %i bytes one wins, and its body is there", async (length) => {
      const etag = await store.put(`${under}/race`, bytes("start"));
      const contenders = Array.from({ length: 20 }, () => random(length));
      const etags = await Promise.all(contenders.map((body) => store.compareAndSwap(`${under}/race`, etag, body)));
      const winner = etags.findIndex((each) => each !== null);
      expect(etags.filter((each) => each !== null)).toHaveLength(1);
      const object = await store.get(`${under}/race`);
      expect(Buffer.compare(object?.body ?? bytes(""), contenders[winner] ?? bytes("none"))).toBe(0);
    });

    test("readers see whole bodies while the object is replaced", async () => {
      const versions = [Buffer.alloc(100_000, "a"), Buffer.alloc(70_000, "b"), Buffer.from("c")];
      await store.put(`${under}/hot`, versions[0] as Buffer);
      const writer = (async () => {
        for (let i = 0; i < 12; i++) await store.put(`${under}/hot`, versions[i % 3] as Buffer);
      })();
      for (let i = 0; i < 12; i++) {
        const { body } = (await store.get(`${under}/hot`)) ?? { body: bytes("absent") };
        expect(versions.some((version) => Buffer.compare(version, body) === 0)).toBe(true);
      }
      await writer;
    });

    test("a list is in byte order, has only the prefix, and shows the latest version", async () => {
      const names = ["b", "a/2", "a/10", "a", "B", "a-1", "~"];
      for (const name of names) await store.put(`${under}/l/${name}`, bytes("old"));
      const etag = await store.put(`${under}/l/b`, bytes("newer"));
      await store.put(`${under}/m`, bytes("outside"));
      const listed = await store.list(`${under}/l/`);
      expect(listed.map(({ key }) => key)).toEqual(names.map((name) => `${under}/l/${name}`).sort());
      expect(listed.find(({ key }) => key.endsWith("/b"))).toEqual({ key: `${under}/l/b`, bytes: 5, etag });
      expect(await store.list(`${under}/nothing`)).toEqual([]);
    });

    test("a list continues after a key, up to a limit", async () => {
      for (let i = 0; i < 7; i++) await store.put(`${under}/${i}`, bytes(""));
      const seen: string[] = [];
      for (;;) {
        const page = await store.list(`${under}/`, { limit: 3, after: seen.at(-1) ?? "" });
        expect(page.length).toBeLessThanOrEqual(3);
        if (page.length === 0) break;
        seen.push(...page.map(({ key }) => key));
      }
      expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6].map((i) => `${under}/${i}`));
    });

    test("a deleted object is absent, and deleting it again succeeds", async () => {
      await store.put(`${under}/deleted`, random(100_000));
      await store.delete(`${under}/deleted`);
      await store.delete(`${under}/deleted`);
      expect(await store.get(`${under}/deleted`)).toBeNull();
      expect(await store.list(under)).toEqual([]);
    });

    test.each(["../etc/passwd", "a/../b", "/a", "a//b", "a/", ".", "", "a\0b", "ü", "a\nb", "k".repeat(1025)])(
      "the key %j is refused",
      async (key) => {
        for (const attempt of [
          () => store.put(key, bytes("")),
          () => store.putIfAbsent(key, bytes("")),
          () => store.compareAndSwap(key, "e", bytes("")),
          () => store.get(key),
          () => store.getStream(key),
          () => store.putStream(key, chunksOf(bytes(""))),
          () => store.copy(key, "t/copy"),
          () => store.copy("t/copy", key),
          () => store.getRange(key, 0, 1),
          () => store.delete(key),
          () => store.presign(key, "GET", 60),
        ]) {
          const error = await attempt().then(
            () => null,
            (thrown) => thrown,
          );
          expect(error).toBeInstanceOf(AppError);
          expect(error.code).toBe("invalid_request");
        }
      },
    );
  });
}
