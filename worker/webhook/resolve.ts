import { lookup, Resolver } from "node:dns/promises";

/** Every address of a host name. Rejects if it has none. */
export type Resolve = (hostname: string) => Promise<string[]>;

const TIMEOUT_MS = 3_000;
const TRIES = 2;

/**
 * Asks the name servers itself instead of the system's resolver, which would hold a thread of the pool that files are
 * written with, for as long as somebody's name server likes. Only the system knows the names of /etc/hosts, which
 * mean something where private networks are allowed.
 */
export function createResolver({ systemNames }: { systemNames: boolean }): Resolve {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  return async (hostname) => {
    const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const addresses = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (addresses.length > 0) return addresses;
    if (systemNames) return (await lookup(hostname, { all: true })).map(({ address }) => address);
    throw answers[0].status === "rejected" ? answers[0].reason : new Error(`${hostname} has no address`);
  };
}
