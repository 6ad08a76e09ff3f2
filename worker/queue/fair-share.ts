/** How far a tenant may run ahead of the others in one round. */
const QUANTUM_TOKENS = 32_768;

/**
 * Deficit round robin over tenants, in tokens: whoever has work gets the same share of them, whatever the size of each
 * job. In each round every tenant with work is granted a quantum, and runs a job once its grants cover it.
 */
export function createFairShare(quantumTokens = QUANTUM_TOKENS) {
  /** Tokens granted and not used yet. In the order of their turns. */
  const granted = new Map<string, number>();

  /** Rounds until the tenant's grants cover a job of `tokens`. */
  const roundsFor = (tenant: string, tokens: number): number =>
    Math.max(0, Math.ceil((tokens - (granted.get(tenant) ?? 0)) / quantumTokens));

  return {
    /** Forgets whoever has no work: grants are not saved up for later. */
    retain(tenants: ReadonlySet<string>): void {
      for (const tenant of granted.keys()) if (!tenants.has(tenant)) granted.delete(tenant);
      for (const tenant of tenants) if (!granted.has(tenant)) granted.set(tenant, 0);
    },

    /** Whose turn it is, of tenants with the tokens of their next job. Changes nothing. */
    next(heads: ReadonlyMap<string, number>): string | undefined {
      let first: string | undefined;
      let fewest = Number.POSITIVE_INFINITY;
      const inTurn = [...granted.keys(), ...[...heads.keys()].filter((tenant) => !granted.has(tenant))];
      for (const tenant of inTurn) {
        const tokens = heads.get(tenant);
        if (tokens === undefined) continue;
        const rounds = roundsFor(tenant, tokens);
        if (rounds < fewest) [first, fewest] = [tenant, rounds];
      }
      return first;
    },

    /** The tenant runs a job of `tokens`: the rounds until then pass for everyone, and its next turn is after theirs. */
    charge(tenant: string, tokens: number, heads: ReadonlyMap<string, number>): void {
      const rounds = roundsFor(tenant, tokens);
      for (const [other, otherTokens] of heads) {
        const grants = (granted.get(other) ?? 0) + rounds * quantumTokens;
        // No more than its next job and a quantum: one that waits for memory must not hoard.
        granted.set(other, Math.min(grants, otherTokens + quantumTokens));
      }
      const left = Math.max(0, (granted.get(tenant) ?? 0) - tokens);
      granted.delete(tenant);
      granted.set(tenant, left);
    },
  };
}

export type FairShare = ReturnType<typeof createFairShare>;
