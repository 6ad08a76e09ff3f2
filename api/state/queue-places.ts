/** What is known of a place: how much lies before it. */
export type Load = { jobs: number; promptTokens: number; completionTokens: number };

export type Place = { createdMs: number; promptTokens: number; completionTokens: number };

/** Sorting packs an age and a number below this into one double. */
const mostPlaces = 2 ** 17;
const fewPlaces = 1024;

/**
 * Jobs of one priority by age, with running sums so that what lies before any of them is one look. In flat arrays, used
 * again by every collection: an object for each job would be most of what a long queue costs.
 */
export function createQueuePlaces(max: number) {
  if (max > mostPlaces) throw new RangeError(`at most ${mostPlaces} places`);
  let created = new Float64Array(Math.min(fewPlaces, max));
  /** Of each job while they are collected, then of it and all before it. */
  let prompts = new Float64Array(created.length);
  let completions = new Float64Array(created.length);
  let length = 0;
  let full = false;
  let collecting = false;

  function grow(): void {
    const capacity = Math.min(2 * created.length, max);
    const larger = (from: Float64Array<ArrayBuffer>) => {
      const to = new Float64Array(capacity);
      to.set(from);
      return to;
    };
    created = larger(created);
    prompts = larger(prompts);
    completions = larger(completions);
  }

  const addTheOneBefore = (i: number): void => {
    prompts[i] = (prompts[i] ?? 0) + (prompts[i - 1] ?? 0);
    completions[i] = (completions[i] ?? 0) + (completions[i - 1] ?? 0);
  };

  function sort(): void {
    const first = created.subarray(0, length).reduce((least, at) => Math.min(least, at), Number.POSITIVE_INFINITY);
    const order = new Float64Array(length);
    for (let i = 0; i < length; i++) order[i] = ((created[i] ?? 0) - first) * mostPlaces + i;
    order.sort();
    const inOrder = (from: Float64Array<ArrayBuffer>) => {
      const to = new Float64Array(from.length);
      for (let i = 0; i < length; i++) to[i] = from[(order[i] ?? 0) % mostPlaces] ?? 0;
      return to;
    };
    created = inOrder(created);
    prompts = inOrder(prompts);
    completions = inOrder(completions);
  }

  return {
    /** Forgets all jobs. Those that come until `collected` may come in any order, and have no place until then. */
    collect(): void {
      length = 0;
      full = false;
      collecting = true;
    },

    collected(): void {
      sort();
      for (let i = 1; i < length; i++) addTheOneBefore(i);
      collecting = false;
    },

    /** Adds the youngest job. Beyond the most places jobs are not kept. */
    push({ createdMs, promptTokens, completionTokens }: Place): void {
      if (length === max) {
        full = true;
        return;
      }
      if (length === created.length) grow();
      created[length] = createdMs;
      prompts[length] = promptTokens;
      completions[length] = completionTokens;
      length += 1;
      if (!collecting && length > 1) addTheOneBefore(length - 1);
    },

    /** All that is older. Null where it is too far back to know. */
    before(createdMs: number): Load | null {
      let low = 0;
      for (let high = length; low < high; ) {
        const middle = (low + high) >> 1;
        if ((created[middle] ?? 0) < createdMs) low = middle + 1;
        else high = middle;
      }
      if (low === length && full) return null;
      return { jobs: low, promptTokens: prompts[low - 1] ?? 0, completionTokens: completions[low - 1] ?? 0 };
    },
  };
}
