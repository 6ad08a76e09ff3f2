import type { ObjectStore } from "./object-store.ts";

const pageSize = 100;

/** Deletes every object below `prefix` but `except`. Can be repeated from wherever it broke off. */
export async function removeBelow(
  objects: Pick<ObjectStore, "list" | "delete">,
  prefix: string,
  except?: string,
): Promise<void> {
  for (let after = ""; ; ) {
    const page = await objects.list(prefix, { after, limit: pageSize });
    await Promise.all(page.filter(({ key }) => key !== except).map(({ key }) => objects.delete(key)));
    if (page.length < pageSize) return;
    after = page.at(-1)?.key ?? "";
  }
}
