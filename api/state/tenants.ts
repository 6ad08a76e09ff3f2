import { keys } from "../contract/keys.ts";
import type { ObjectStore } from "./object-store.ts";

/** Each tenant by its first key: a listing of all keys would take as long as there are jobs. */
export async function* listTenants(objects: Pick<ObjectStore, "list">): AsyncGenerator<string> {
  for (let after = keys.tenants; ; ) {
    const [first] = await objects.list(keys.tenants, { after, limit: 1 });
    if (first === undefined) return;
    const tenant = first.key.slice(keys.tenants.length).split("/")[0] ?? "";
    yield tenant;
    after = keys.afterTenant(tenant);
  }
}
