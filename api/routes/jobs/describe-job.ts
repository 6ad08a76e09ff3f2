import type { JobState, Price, Usage } from "../../contract/job.ts";
import type { Job } from "../../contract/job-resource.ts";
import type { Estimates } from "../../estimates.ts";

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

/** A job as its owner sees it. */
export async function describeJob(state: JobState, estimates: Pick<Estimates, "outlook">): Promise<Job> {
  const self = `/v1/jobs/${state.id}`;
  return {
    object: "job",
    id: state.id,
    status: state.status,
    model: state.model,
    attempt: state.attempt,
    progress: state.progress,
    priority: state.priority,
    cancel_requested: state.cancel_requested_ms !== null,
    ...(await estimates.outlook(state)),
    metadata: state.metadata,
    created_at: state.created_ms / 1000,
    started_at: seconds(state.started_ms),
    finished_at: seconds(state.finished_ms),
    deliver_by: seconds(state.deliver_by_ms),
    expires_at: seconds(state.expires_ms),
    usage: state.usage,
    cost: state.usage && state.price && costOf(state.usage, state.price),
    timings: state.timings,
    engine: state.engine,
    hit_rate: state.hit_rate,
    error: state.error,
    webhook: state.webhook,
    quote_id: state.quote_id,
    retry_of: state.retry_of,
    urls: { self, result: `${self}/result`, cancel: `${self}/cancel` },
  };
}

export function costOf(usage: Omit<Usage, "total_tokens">, price: Price): { amount: number; currency: string } {
  const { cached_tokens: cached } = usage.prompt_tokens_details;
  const amount =
    (usage.prompt_tokens - cached) * price.prompt + cached * price.cached + usage.completion_tokens * price.completion;
  return { amount: amount / 1e6, currency: price.currency };
}
