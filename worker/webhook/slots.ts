export type Slots = {
  /** Takes one of the tenant's slots, to be given back by the function it returns; null if all are taken. */
  take(tenant: string): (() => void) | null;
};

/** Deliveries under way by tenant, so that receivers of one that are slow to answer cannot hold up all others. */
export function createSlots(perTenant: number): Slots {
  const taken = new Map<string, number>();
  return {
    take(tenant) {
      const count = taken.get(tenant) ?? 0;
      if (count >= perTenant) return null;
      taken.set(tenant, count + 1);
      return () => {
        const left = (taken.get(tenant) ?? 1) - 1;
        if (left > 0) taken.set(tenant, left);
        else taken.delete(tenant);
      };
    },
  };
}
