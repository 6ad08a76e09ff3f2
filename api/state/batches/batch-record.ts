// The rules of a batch's life as pure functions: state in, next state out, no I/O.
import {
  BATCH_TRANSITIONS,
  type BatchError,
  type BatchSize,
  type BatchState,
  type BatchStatus,
  type BatchUsage,
  type RequestCounts,
} from "../../contract/batch.ts";
import type { CreateBatch } from "../../contract/batch-resource.ts";
import type { Price } from "../../contract/job.ts";
import { limits } from "../../contract/limits.ts";

type NewBatch = {
  id: string;
  tenant: string;
  asked: CreateBatch;
  model: string;
  price: Price | null;
  nowMs: number;
};

export const newBatch = ({ id, tenant, asked, model, price, nowMs }: NewBatch): BatchState => ({
  version: 1,
  id,
  tenant,
  revision: 1,
  status: "validating",
  endpoint: asked.endpoint,
  input_file_id: asked.input_file_id,
  model,
  metadata: asked.metadata ?? null,
  output_expires_seconds: asked.output_expires_after?.seconds ?? null,
  webhook: asked.webhook ?? null,
  dry_run: asked.dry_run,
  price,
  errors: [],
  lines: 0,
  invalid_lines: 0,
  shards: 0,
  size: null,
  request_counts: null,
  usage: null,
  output_file_id: null,
  error_file_id: null,
  created_ms: nowMs,
  expires_ms: nowMs + limits.batchWindowMs,
  in_progress_ms: null,
  finalizing_ms: null,
  completed_ms: null,
  failed_ms: null,
  expired_ms: null,
  cancelling_ms: null,
  cancelled_ms: null,
});

/** The next revision, in `status`, or null where the transition table has no way there: someone else was faster. */
export function advanceBatch(
  batch: BatchState,
  status: Exclude<BatchStatus, "validating">,
  nowMs: number,
  changes: Partial<BatchState> = {},
): BatchState | null {
  if (!BATCH_TRANSITIONS[batch.status].includes(status)) return null;
  return { ...batch, ...changes, status, revision: batch.revision + 1, [`${status}_ms`]: nowMs };
}

export type ValidatedLines = {
  lines: number;
  invalidLines: number;
  errors: BatchError[];
  shards: number;
  size: BatchSize;
};

/** The lines that are as they should be run now, and the others are failed; of a dry run, nothing runs. */
export function validated(batch: BatchState, found: ValidatedLines, nowMs: number): BatchState | null {
  const { lines, invalidLines: invalid_lines, errors, shards, size } = found;
  if (!batch.dry_run) return advanceBatch(batch, "in_progress", nowMs, { lines, invalid_lines, errors, shards, size });
  const request_counts = { ...counts(lines), failed: invalid_lines };
  return advanceBatch(batch, "completed", nowMs, {
    lines,
    invalid_lines,
    errors,
    size,
    ...NOTHING_RAN,
    request_counts,
  });
}

export const refused = (batch: BatchState, errors: BatchError[], nowMs: number): BatchState | null =>
  advanceBatch(batch, "failed", nowMs, { errors, ...NOTHING_RAN });

const counts = (total: number): RequestCounts => ({ total, completed: 0, failed: 0 });

const NO_USAGE: BatchUsage = {
  input_tokens: 0,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 0,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 0,
};

export const NOTHING_RAN = { request_counts: counts(0), usage: NO_USAGE };

/** What is said of a line that has no answer and will get none. */
export function whyUnfinished(batch: BatchState, nowMs: number): { code: string; message: string } {
  if (batch.status === "cancelling")
    return { code: "batch_cancelled", message: "The batch was cancelled before this line was answered." };
  if (nowMs >= batch.expires_ms)
    return { code: "batch_expired", message: "This line was not answered before the batch expired." };
  return { code: "internal", message: "This line was never run, by a fault of the service: send it again." };
}
