import type { Etag, ObjectStore, Put } from "./object-store.ts";

/** `putSteps` of a store that writes one object at a time. */
export async function putStepsInTurn(
  objects: Pick<ObjectStore, "put" | "putIfAbsent">,
  steps: readonly (readonly Put[])[],
  check: () => void = () => {},
): Promise<(Etag | null)[][]> {
  const made: (Etag | null)[][] = [];
  for (const step of steps) {
    check();
    const etags = await Promise.all(
      step.map(({ key, body, ifAbsent }) => (ifAbsent ? objects.putIfAbsent(key, body) : objects.put(key, body))),
    );
    made.push(etags);
    if (etags.includes(null)) break;
  }
  return made;
}
