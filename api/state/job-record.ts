// The rules of a job's life as pure functions: state in, next state out, no I/O.
import {
  isTerminal,
  type JobProgress,
  type JobRequest,
  type JobState,
  type JobStatus,
  TRANSITIONS,
} from "../contract/job.ts";

export type Lease = NonNullable<JobState["lease"]>;

type NewJob = { id: string; tenant: string; request: JobRequest; progress: JobProgress; nowMs: number };

export const newJob = ({ id, tenant, request, progress, nowMs }: NewJob): JobState => ({
  version: 1,
  id,
  tenant,
  model: request.model,
  revision: 1,
  status: "queued",
  attempt: 0,
  lease: null,
  progress,
  metadata: request.metadata,
  created_ms: nowMs,
  sent_ms: null,
  started_ms: null,
  finished_ms: null,
  error: null,
});

/** The next revision, in `status`. Throws where the transition table forbids it: a bug of the caller, not of a client. */
export function advance(state: JobState, status: JobStatus, changes: Partial<JobState>): JobState {
  const stays = status === state.status && !isTerminal(status);
  if (!stays && !TRANSITIONS[state.status].includes(status)) {
    throw new Error(`job ${state.id} cannot go from ${state.status} to ${status}`);
  }
  return { ...state, ...changes, status, revision: state.revision + 1 };
}

/** A new attempt: progress starts over, the first start is kept. */
export const start = (state: JobState, lease: Lease, nowMs: number): JobState =>
  advance(state, "running", {
    attempt: state.attempt + 1,
    lease,
    started_ms: state.started_ms ?? nowMs,
    progress: { ...state.progress, prefill_tokens: 0, generated_tokens: 0, questions_done: 0 },
  });

export const finish = (state: JobState, status: JobStatus, nowMs: number, changes: Partial<JobState> = {}): JobState =>
  advance(state, status, { ...changes, lease: null, finished_ms: nowMs });

export const hasLiveLease = (state: JobState, nowMs: number): boolean =>
  state.lease !== null && state.lease.until_ms > nowMs;
