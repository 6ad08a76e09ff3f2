import type { ObjectStore } from "./object-store.ts";

/** Of folders without the object that makes them exist, and that nobody may be about to write any more. */
const suspectMs = 24 * 3_600_000;

type Folder = {
  /** Ends with a slash. */
  prefix: string;
  /** Whether what makes it exist is there. */
  isWhole: boolean;
};

/** The folders right below `prefix`, by the first two keys of each: what they hold may be long. */
export async function* listFolders(
  objects: Pick<ObjectStore, "list">,
  prefix: string,
  makes: string,
): AsyncGenerator<Folder> {
  for (let after = prefix; ; ) {
    const [first] = await objects.list(prefix, { after, limit: 1 });
    if (first === undefined) return;
    const folder = first.key.slice(0, first.key.indexOf("/", prefix.length) + 1);
    const [whole] = await objects.list(folder + makes, { limit: 1 });
    yield { prefix: folder, isWhole: whole?.key === folder + makes };
    // Past all that begins with the folder's name and a slash.
    after = `${folder.slice(0, -1)}0`;
  }
}

/**
 * Remembers what a request that broke off left, for as long as the process lives: objects have no age, so what has been
 * seen for a day, and was no more than that all the time, is litter.
 */
export function createLitter({ now }: { now: () => number }) {
  const seen = new Map<string, number>();

  return {
    /** Told of every folder at each sweep; whether this one can go. */
    isLitter({ prefix, isWhole }: Folder): boolean {
      if (isWhole) {
        seen.delete(prefix);
        return false;
      }
      const since = seen.get(prefix) ?? now();
      seen.set(prefix, since);
      return now() - since >= suspectMs;
    },

    forget: (prefix: string): void => void seen.delete(prefix),
  };
}
