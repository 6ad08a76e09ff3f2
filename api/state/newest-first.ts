import { listPages } from "./list-pages.ts";
import type { ObjectStore } from "./object-store.ts";

/** An index of empty objects whose names are `<time, descending>-<id>`, so that a listing has the newest first. */
type Index<T> = {
  objects: Pick<ObjectStore, "list">;
  prefix: string;
  /** Null for what was deleted just now, or never finished: it is left out. */
  read: (id: string, name: string) => Promise<T | null>;
};

export type Page<T> = {
  items: T[];
  /** Continues after the last item; null at the end. */
  next: string | null;
};

const READS_AT_ONCE = 50;

const idOf = (name: string): string => name.slice(name.indexOf("-") + 1);

/** A page that begins after the name `after`. */
export async function listNewest<T>(
  { objects, prefix, read }: Index<T>,
  { after, limit }: { after: string | null; limit: number },
): Promise<Page<T>> {
  const items: T[] = [];
  let cursor = after;
  for (;;) {
    const page = await objects.list(prefix, {
      limit: Math.min(READS_AT_ONCE, limit - items.length + 1),
      ...(cursor === null ? {} : { after: prefix + cursor }),
    });
    if (page.length === 0) return { items, next: null };
    const names = page.map(({ key }) => key.slice(prefix.length));
    const found = await Promise.all(names.map((name) => read(idOf(name), name)));
    for (const [index, item] of found.entries()) {
      if (item !== null && items.length === limit) return { items, next: cursor };
      cursor = names[index] ?? cursor;
      if (item !== null) items.push(item);
    }
  }
}

/** As listNewest from the other end. Names are short: all of those before `after` are looked through. */
export async function listOldest<T>(
  { objects, prefix, read }: Index<T>,
  { after, limit }: { after: string | null; limit: number },
): Promise<Page<T>> {
  const names: string[] = [];
  for await (const page of listPages(objects, prefix)) names.push(...page.map(({ key }) => key.slice(prefix.length)));
  const items: T[] = [];
  let cursor = after;
  for (const name of names.reverse()) {
    if (after !== null && name >= after) continue;
    const item = await read(idOf(name), name);
    if (item !== null && items.length === limit) return { items, next: cursor };
    cursor = name;
    if (item !== null) items.push(item);
  }
  return { items, next: null };
}
