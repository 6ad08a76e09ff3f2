import { Priority } from "../../contract/job.ts";
import { keys } from "../../contract/keys.ts";
import type { ActiveEntry, JobIndex } from "./job-index.ts";
import { createQueuePlaces, type Load } from "./queue-places.ts";

/** What of a job decides its place and its weight in the queue. */
export type Weight = Pick<ActiveEntry, "tenant" | "createdMs" | "priority" | "promptTokens" | "completionTokens">;

export type ActiveJobs = ReturnType<typeof createActiveJobs>;

type Deps = {
  index: Pick<JobIndex, "listActive">;
  now: () => number;
};

const page = 1_000;
/** A listing is used for at least so long, and for a multiple of the time that it took. */
const freshMs = 1_000;
const freshFactor = 20;
/** A listing that takes no longer is waited for by everybody. */
const quickMs = 100;

/**
 * The jobs that are not over, as the last listing had them and with what this process submitted since: counts for each
 * tenant, and places in the queue. Other processes' submits and all ends show with the next listing.
 */
export function createActiveJobs({ index, now }: Deps) {
  let current = createTally();
  /** Counted, and perhaps not in the store yet. */
  const submitting = new Map<string, Weight>();
  /** Under way; `own` are the jobs that it has from this process, whether the store lists them yet or not. */
  let coming: { tally: Tally; own: Set<string> } | null = null;
  let listing: Promise<void> | null = null;
  let staleAtMs = Number.NEGATIVE_INFINITY;
  let asOfMs = 0;
  let tookMs = 0;

  async function list(): Promise<void> {
    const begunMs = now();
    const next = createTally();
    const own = new Set(submitting.keys());
    for (const weight of submitting.values()) next.add(weight);
    coming = { tally: next, own };
    try {
      for (let after: string | undefined; ; ) {
        const { entries, next: more } = await index.listActive(keys.active, { after, limit: page });
        for (const entry of entries) if (!own.has(entry.job)) next.add(entry);
        if (more === null) break;
        after = more;
      }
      current = next;
      asOfMs = begunMs;
      tookMs = now() - begunMs;
      staleAtMs = now() + Math.max(freshMs, freshFactor * tookMs);
    } finally {
      coming = null;
      listing = null;
    }
  }

  const refresh = (): Promise<void> => {
    listing ??= list();
    return listing;
  };

  return {
    /**
     * Makes a new listing if the last one is old. `wait` waits for it, however long it takes; otherwise a long one goes
     * on while what there is serves, and one that fails leaves it in place.
     */
    async update(wait: boolean): Promise<void> {
      // Before its own time it is old too: the clock was put back.
      if (now() >= asOfMs && now() < staleAtMs) return;
      const refreshed = refresh();
      if (wait || staleAtMs === Number.NEGATIVE_INFINITY) return refreshed;
      const done = refreshed.catch(() => undefined);
      if (tookMs <= quickMs) await done;
    },

    /** When the last listing was made. */
    asOfMs: (): number => asOfMs,

    of: (tenant: string): Load => current.of(tenant),

    all: (): Load => current.all,

    /** Counts a job that is about to be submitted; `submitted` or `withdraw` has to follow. */
    add(job: string, weight: Weight): void {
      submitting.set(job, weight);
      current.add(weight);
      coming?.own.add(job);
      coming?.tally.add(weight);
    },

    /** The store has the job. */
    submitted: (job: string): void => void submitting.delete(job),

    /** The job did not come to be. */
    withdraw(job: string): void {
      const weight = submitting.get(job);
      if (weight === undefined) return;
      submitting.delete(job);
      current.subtract(weight);
      coming?.tally.subtract(weight);
    },

    /** What goes before a job: everything of a higher priority, and what is older of its own; of a long queue nearly so. */
    ahead: (weight: Weight): Load => current.ahead(weight),
  };
}

type Tally = ReturnType<typeof createTally>;

const NOTHING: Load = { jobs: 0, promptTokens: 0, completionTokens: 0 };

function createTally() {
  const tenants = new Map<string, Load>();
  const total = { ...NOTHING };
  const places = Priority.options.map(() => createQueuePlaces());
  const placesOf = (priority: Priority) => places[Priority.options.indexOf(priority)];

  function count({ tenant, promptTokens, completionTokens }: Weight, sign: 1 | -1): void {
    const counted = tenants.get(tenant) ?? { ...NOTHING };
    for (const load of [counted, total]) {
      load.jobs += sign;
      load.promptTokens += sign * promptTokens;
      load.completionTokens += sign * completionTokens;
    }
    tenants.set(tenant, counted);
  }

  return {
    all: total as Load,
    of: (tenant: string): Load => tenants.get(tenant) ?? NOTHING,
    add(weight: Weight): void {
      count(weight, 1);
      placesOf(weight.priority)?.add(weight);
    },
    subtract: (weight: Weight): void => count(weight, -1),
    ahead({ createdMs, priority }: Weight): Load {
      const load = { ...NOTHING };
      const own = Priority.options.indexOf(priority);
      for (const [index, place] of places.slice(0, own + 1).entries()) {
        const part = index < own ? place.total : place.before(createdMs);
        load.jobs += part.jobs;
        load.promptTokens += part.promptTokens;
        load.completionTokens += part.completionTokens;
      }
      return load;
    },
  };
}
