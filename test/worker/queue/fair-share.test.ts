import { expect, it } from "vitest";
import { createFairShare } from "../../../worker/queue/fair-share.ts";
import { seeded } from "../../support/seeded.ts";

const QUANTUM = 1_000;

/** Serves `jobs` jobs to tenants that always have another one; the tokens that each got. */
function serve(nextTokens: Record<string, () => number>, jobs: number) {
  const share = createFairShare(QUANTUM);
  const heads = new Map(Object.entries(nextTokens).map(([tenant, next]) => [tenant, next()]));
  const served = new Map<string, number>([...heads.keys()].map((tenant) => [tenant, 0]));
  for (let job = 0; job < jobs; job++) {
    share.retain(new Set(heads.keys()));
    const tenant = share.next(heads) ?? "";
    const tokens = heads.get(tenant) ?? 0;
    share.charge(tenant, tokens, heads);
    served.set(tenant, (served.get(tenant) ?? 0) + tokens);
    heads.set(tenant, nextTokens[tenant]?.() ?? 0);
  }
  return served;
}

it("gives tenants with work the same tokens, however large their jobs", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seeded(seed);
    const sizes = () => 1 + Math.floor(random() * 8_000);
    const served = serve({ small: () => 50, large: () => 8_000, mixed: sizes }, 3_000);
    const tokens = [...served.values()];
    expect(Math.max(...tokens) - Math.min(...tokens)).toBeLessThanOrEqual(2 * (8_000 + QUANTUM));
  }
});

it("serves a tenant alone without delay, and one that comes later does not get what it missed", () => {
  const share = createFairShare(QUANTUM);
  for (let job = 0; job < 100; job++) {
    share.retain(new Set(["a"]));
    expect(share.next(new Map([["a", 5_000]]))).toBe("a");
    share.charge("a", 5_000, new Map([["a", 5_000]]));
  }
  const order: string[] = [];
  const heads = new Map([
    ["a", 5_000],
    ["b", 5_000],
  ]);
  for (let job = 0; job < 10; job++) {
    share.retain(new Set(heads.keys()));
    const tenant = share.next(heads) ?? "";
    share.charge(tenant, 5_000, heads);
    order.push(tenant);
  }
  expect(order.filter((tenant) => tenant === "a").length).toBe(5);
});

it("has no turn to give without heads", () => {
  expect(createFairShare(QUANTUM).next(new Map())).toBeUndefined();
});
