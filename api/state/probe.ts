import { AppError } from "../contract/errors.ts";
import { keys } from "../contract/keys.ts";
import type { Etag, ObjectStore } from "./object-store.ts";

const contenders = 8;
/** No start takes so long: what is older was left by a process that was killed in the middle of its probe. */
const litterMs = 3_600_000;

/**
 * Tries out what the state of jobs rests on, with an object of its own that it removes again. Some S3-compatible
 * servers accept conditional writes and ignore the condition: with those, jobs would be lost without a word.
 * Throws AppError `store_unsuitable` naming what failed, `unavailable` if the store cannot be reached.
 */
export async function probeObjectStore(objects: ObjectStore, nonce: string, nowMs: number): Promise<void> {
  const key = keys.probe(nowMs, nonce);
  const body = (text: string) => Buffer.from(`${nonce} ${text}`);
  const check = (holds: boolean, what: string) => {
    if (!holds) throw new AppError("store_unsuitable", `the object store fails its start-up probe: ${what}`);
  };
  const createOnce = (text: string) => objects.putIfAbsent(key, body(text));
  const winners = (etags: (Etag | null)[]) => etags.filter((etag) => etag !== null);
  const all = (write: (text: string) => Promise<Etag | null>) =>
    Promise.all(Array.from({ length: contenders }, (_, index) => write(`${index}`)));

  try {
    const created = winners(await all(createOnce));
    check(
      created.length === 1,
      `put-if-absent let ${created.length} of ${contenders} concurrent writers create one object`,
    );
    const first = created[0] as Etag;
    check((await createOnce("again")) === null, "put-if-absent replaced an object that exists");

    const swapped = winners(await all((text) => objects.compareAndSwap(key, first, body(`swap ${text}`))));
    check(swapped.length === 1, `compare-and-swap let ${swapped.length} of ${contenders} concurrent writers win`);
    check(
      (await objects.get(key))?.etag === swapped[0],
      "a read after compare-and-swap did not return what was written",
    );
    const stale = await objects.compareAndSwap(key, first, body("stale"));
    check(stale === null, "compare-and-swap accepted an etag that is out of date");

    const listed = await objects.list(key);
    check(listed.length === 1 && listed[0]?.etag === swapped[0], "a list did not show the latest write");
    await objects.delete(key);
    const gone = await objects.compareAndSwap(key, swapped[0] as Etag, body("gone"));
    check(gone === null, "compare-and-swap wrote an object that does not exist");

    for (const { key: other } of await objects.list(keys.probes)) {
      const begunMs = Number(other.slice(keys.probes.length).split("-", 1)[0]);
      if (!(begunMs > nowMs - litterMs)) await objects.delete(other);
    }
  } finally {
    await objects.delete(key).catch(() => {});
  }
}
