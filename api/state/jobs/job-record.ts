// The rules of a job's life as pure functions: state in, next state out, no I/O.
import {
  type EngineInfo,
  isTerminal,
  type JobMessage,
  type JobState,
  type JobStatus,
  TRANSITIONS,
  type Usage,
} from "../../contract/job.ts";
import type { JobRequest } from "../../contract/job-request.ts";
import { type JobResult, timeInPrefillMs } from "../../contract/job-result.ts";
import { limits } from "../../contract/limits.ts";

export type Lease = NonNullable<JobState["lease"]>;

type NewJob = { id: string; tenant: string; request: JobRequest; nowMs: number };

export function newJob({ id, tenant, request, nowMs }: NewJob): JobState {
  const sequences = request.prompt_tokens.length;
  const promptTokens = request.prompt_tokens.reduce((sum, tokens) => sum + tokens, 0);
  return {
    version: 1,
    id,
    tenant,
    model: request.model,
    revision: 1,
    status: "queued",
    attempt: 0,
    is_suspect: false,
    lease: null,
    progress: {
      prompt_tokens: promptTokens,
      prefill_tokens: 0,
      generated_tokens: 0,
      questions_done: 0,
      questions_total: sequences,
    },
    cancel_requested_ms: null,
    watched_until_ms: null,
    priority: request.priority,
    deliver_by_ms: request.deliver_by_ms,
    expires_ms: request.ttl_ms === null ? null : nowMs + request.ttl_ms,
    reserved: { prompt_tokens: promptTokens, completion_tokens: sequences * request.max_tokens },
    metadata: request.metadata,
    webhook: request.webhook,
    price: request.price,
    quote_id: request.quote_id,
    retry_of: request.retry_of,
    batch: batchOf(request.input),
    created_ms: nowMs,
    started_ms: null,
    finished_ms: null,
    usage: null,
    timings: null,
    engine: null,
    hit_rate: null,
    error: null,
  };
}

function batchOf(input: JobRequest["input"]): JobState["batch"] {
  if (input.kind === "batch") return { id: input.batch, shard: null };
  return input.kind === "shard" ? { id: input.batch, shard: input.shard } : null;
}

/** The pointer to a job. */
export const messageOf = (state: JobState, request: JobRequest): JobMessage => ({
  v: 1,
  tenant: state.tenant,
  job: state.id,
  priority: state.priority,
  deliver_by_ms: state.deliver_by_ms,
  reserved_tokens: state.reserved.prompt_tokens + state.reserved.completion_tokens,
  document: request.input.document_ids[0] ?? null,
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
export const start = (state: JobState, lease: Lease, engine: EngineInfo | null, nowMs: number): JobState =>
  advance(state, "running", {
    attempt: state.attempt + 1,
    lease,
    engine,
    started_ms: state.started_ms ?? nowMs,
    progress: { ...state.progress, prefill_tokens: 0, generated_tokens: 0, questions_done: 0 },
  });

/** The end of a job, with what its result says of the run, if it has one. */
export function finish(
  state: JobState,
  status: JobStatus,
  nowMs: number,
  changes: Partial<JobState> & { result?: JobResult | null } = {},
): JobState {
  const { result = null, ...rest } = changes;
  const run = result ? summarise(result) : NOTHING_RUN;
  return advance(state, status, {
    ...rest,
    lease: null,
    finished_ms: nowMs,
    usage: run.usage,
    hit_rate: run.hitRate,
    timings: {
      queued_ms: (state.started_ms ?? nowMs) - state.created_ms,
      prefill_ms: run.prefillMs,
      decode_ms: run.decodeMs,
    },
  });
}

type Run = { usage: Usage; hitRate: number | null; prefillMs: number; decodeMs: number };

const NOTHING_RUN: Run = {
  usage: { prompt_tokens: 0, prompt_tokens_details: { cached_tokens: 0 }, completion_tokens: 0, total_tokens: 0 },
  hitRate: null,
  prefillMs: 0,
  decodeMs: 0,
};

/** Decodes run together; a hit rate counts by the tokens that were decoded with it. */
function summarise({ answers, usage }: JobResult): Run {
  const decoded = answers.reduce((sum, answer) => sum + answer.usage.completion_tokens, 0);
  return {
    usage,
    hitRate:
      decoded === 0
        ? null
        : answers.reduce((sum, { cache, usage }) => sum + cache.hit_rate * usage.completion_tokens, 0) / decoded,
    prefillMs: timeInPrefillMs(answers),
    decodeMs: Math.max(0, ...answers.map(({ timings }) => timings.decode_ms)),
  };
}

/** Attempts before a job is failed. A shard finds out which of its lines kills its workers, and goes on without it. */
export const attemptsAllowed = ({ batch, progress }: JobState, maxAttempts: number): number =>
  batch === null || batch.shard === null ? maxAttempts : maxAttempts + limits.lineDeaths * progress.questions_total;

export const hasLiveLease = (state: JobState, nowMs: number): boolean =>
  state.lease !== null && state.lease.until_ms > nowMs;

/** How a job that is not over must end now, whoever runs it; null if it may go on. */
export function dueEnd(state: JobState, nowMs: number): "cancelled" | "expired" | null {
  if (state.cancel_requested_ms !== null) return "cancelled";
  return state.expires_ms !== null && state.expires_ms <= nowMs ? "expired" : null;
}
