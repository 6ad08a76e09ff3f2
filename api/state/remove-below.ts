import { listPages } from "./list-pages.ts";
import type { ObjectStore } from "./object-store.ts";

const pageSize = 100;

/** Deletes every object below `prefix` but `except`. Can be repeated from wherever it broke off. */
export async function removeBelow(
  objects: Pick<ObjectStore, "list" | "delete">,
  prefix: string,
  except?: string,
): Promise<void> {
  for await (const page of listPages(objects, prefix, { pageSize })) {
    await Promise.all(page.filter(({ key }) => key !== except).map(({ key }) => objects.delete(key)));
  }
}
