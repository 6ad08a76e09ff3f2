import { counted } from "../../contract/counted.ts";
import { AppError } from "../../contract/errors.ts";
import type { ActiveJobs, Weight } from "./active-jobs.ts";

/** What one tenant may have queued and running. 0 is without limit. */
export type Quota = { jobs: number; tokens: number };

/** Of a limit that there is: how much of it is left. */
export type QuotaLeft = { name: "jobs" | "tokens"; quota: number; left: number };

type Deps = {
  active: ActiveJobs;
  quota: Quota;
  /** Seconds until so many jobs, or so many tokens, of the queue are done, if that is known. */
  drainSeconds: (share: { jobs?: number; tokens?: number }) => Promise<number | null>;
};

export type QuotaGate = ReturnType<typeof createQuotaGate>;

const fallbackRetrySeconds = 10;
const maxRetrySeconds = 600;

/**
 * Lets jobs in while their tenant's quota lasts. Exact within one process; several may together let in what each of them
 * accepts between two listings of the active jobs.
 */
export function createQuotaGate({ active, quota, drainSeconds }: Deps) {
  const limited = quota.jobs > 0 || quota.tokens > 0;

  function left(tenant: string): QuotaLeft[] {
    const { jobs, promptTokens, completionTokens } = active.of(tenant);
    return [
      { name: "jobs" as const, quota: quota.jobs, left: quota.jobs - jobs },
      { name: "tokens" as const, quota: quota.tokens, left: quota.tokens - promptTokens - completionTokens },
    ].filter(({ quota }) => quota > 0);
  }

  const shortOf = ({ tenant, promptTokens, completionTokens }: Weight): QuotaLeft | undefined =>
    left(tenant).find(({ name, left }) => (name === "jobs" ? 1 : promptTokens + completionTokens) > left);

  return {
    left,

    /** Counts the job in, or throws quota_exceeded. `submitted` or `withdraw` has to follow. */
    async admit(job: string, weight: Weight): Promise<void> {
      if (limited) await active.update(false);
      if (limited && shortOf(weight) !== undefined) await active.update(true);
      const short = shortOf(weight);
      if (short !== undefined) throw await refusal(weight, short);
      active.add(job, weight);
    },

    submitted: active.submitted,
    withdraw: active.withdraw,
  };

  async function refusal(weight: Weight, { name, quota, left }: QuotaLeft): Promise<AppError> {
    const asked = name === "jobs" ? 1 : weight.promptTokens + weight.completionTokens;
    const n = (count: number) => count.toLocaleString("en-US");
    if (asked > quota) {
      return new AppError("budget_exceeded", `job of ${asked} ${name} over the quota of ${quota}`, {
        detail: `The job may take ${counted(asked, "token")}, and the quota is ${n(quota)}: lower max_tokens or shorten the prompt.`,
        extra: { quota: name, limit: quota, needed: asked },
      });
    }
    const seconds =
      (await drainSeconds(name === "jobs" ? { jobs: 1 } : { tokens: asked - left })) ?? fallbackRetrySeconds;
    return new AppError("quota_exceeded", `tenant ${weight.tenant} has ${left} of ${quota} ${name} left`, {
      detail:
        `Of the quota of ${n(quota)} queued and running ${name}, ${n(Math.max(0, left))} are left, and this job takes ` +
        `${n(asked)}: send it again when others are done.`,
      retryAfterSeconds: Math.max(1, Math.min(maxRetrySeconds, seconds)),
      extra: { quota: name, limit: quota, left: Math.max(0, left), needed: asked },
    });
  }
}
