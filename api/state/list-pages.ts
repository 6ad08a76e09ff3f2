import type { ObjectInfo, ObjectStore } from "./object-store.ts";

/** All objects below `prefix`, in the order of a listing, a page at a time. A page's objects may be deleted meanwhile. */
export async function* listPages(
  objects: Pick<ObjectStore, "list">,
  prefix: string,
  { after, pageSize = 1_000 }: { after?: string; pageSize?: number } = {},
): AsyncGenerator<ObjectInfo[]> {
  for (let from = after; ; ) {
    const page = await objects.list(prefix, { limit: pageSize, ...(from === undefined ? {} : { after: from }) });
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    if (page.length < pageSize) return;
    from = last.key;
  }
}
