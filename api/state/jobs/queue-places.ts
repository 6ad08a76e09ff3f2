export type Load = { jobs: number; promptTokens: number; completionTokens: number };

export type Place = { createdMs: number; promptTokens: number; completionTokens: number };

export type QueuePlaces = ReturnType<typeof createQueuePlaces>;

const fewStrata = 1_024;

/**
 * How much of one priority is older than a moment, from jobs that come in any order. Jobs of the same moment are one
 * stratum. Past twice `most` strata neighbours are laid together, those that stay small first, so that memory is bounded
 * whatever there is: exact for up to `most` moments, and beyond them true to a few strata, each of about
 * 2 / `most` of the jobs.
 */
export function createQueuePlaces(most = fewStrata) {
  const room = 2 * most;
  /** Of each stratum, oldest first: the age of its oldest and of its youngest job, and what it holds. */
  const from = new Float64Array(room + 1);
  const to = new Float64Array(room + 1);
  const jobs = new Float64Array(room + 1);
  const prompts = new Float64Array(room + 1);
  const completions = new Float64Array(room + 1);
  const fields = [from, to, jobs, prompts, completions];
  let length = 0;
  const total: Load = { jobs: 0, promptTokens: 0, completionTokens: 0 };

  /** The first stratum that does not end before the moment. */
  function find(ms: number): number {
    let low = 0;
    for (let high = length; low < high; ) {
      const middle = (low + high) >> 1;
      if (at(to, middle) < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function compress(): void {
    const cap = Math.max(1, Math.ceil((2 * total.jobs) / most));
    let last = 0;
    for (let next = 1; next < length; next++) {
      if (at(jobs, last) + at(jobs, next) <= cap) {
        from[last] = Math.min(at(from, last), at(from, next));
        to[last] = at(to, next);
        for (const field of [jobs, prompts, completions]) field[last] = at(field, last) + at(field, next);
      } else {
        last += 1;
        for (const field of fields) field[last] = at(field, next);
      }
    }
    length = last + 1;
  }

  return {
    total: total as Readonly<Load>,

    add({ createdMs, promptTokens, completionTokens }: Place): void {
      total.jobs += 1;
      total.promptTokens += promptTokens;
      total.completionTokens += completionTokens;
      const place = find(createdMs);
      if (place === length || at(to, place) !== createdMs) {
        for (const field of fields) field.copyWithin(place + 1, place, length);
        length += 1;
        from[place] = createdMs;
        to[place] = createdMs;
        for (const field of [jobs, prompts, completions]) field[place] = 0;
      }
      jobs[place] = at(jobs, place) + 1;
      prompts[place] = at(prompts, place) + promptTokens;
      completions[place] = at(completions, place) + completionTokens;
      if (length > room) compress();
    },

    /** All that is older. Within a stratum jobs are taken to have come evenly. */
    before(createdMs: number): Load {
      const load = { jobs: 0, promptTokens: 0, completionTokens: 0 };
      const place = find(createdMs);
      for (let older = 0; older < place; older++) {
        load.jobs += at(jobs, older);
        load.promptTokens += at(prompts, older);
        load.completionTokens += at(completions, older);
      }
      // Those that end later may have begun earlier, one within the other.
      for (let around = place; around < length; around++) {
        if (at(from, around) >= createdMs) continue;
        const share = (createdMs - at(from, around)) / (at(to, around) - at(from, around) + 1);
        load.jobs += share * at(jobs, around);
        load.promptTokens += share * at(prompts, around);
        load.completionTokens += share * at(completions, around);
      }
      load.jobs = Math.floor(load.jobs);
      load.promptTokens = Math.floor(load.promptTokens);
      load.completionTokens = Math.floor(load.completionTokens);
      return load;
    },
  };
}

const at = (field: Float64Array, index: number): number => field[index] ?? 0;
