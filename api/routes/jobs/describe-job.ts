import type { JobState } from "../../contract/job.ts";
import type { Job } from "../../contract/job-resource.ts";

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

/** A job as its owner sees it. */
export function describeJob(state: JobState): Job {
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
    metadata: state.metadata,
    created_at: state.created_ms / 1000,
    started_at: seconds(state.started_ms),
    finished_at: seconds(state.finished_ms),
    deliver_by: seconds(state.deliver_by_ms),
    expires_at: seconds(state.expires_ms),
    usage: state.usage,
    timings: state.timings,
    engine: state.engine,
    hit_rate: state.hit_rate,
    error: state.error,
    webhook: state.webhook,
    quote_id: state.quote_id,
    retry_of: state.retry_of,
    urls: { self, result: `${self}/result` },
  };
}
