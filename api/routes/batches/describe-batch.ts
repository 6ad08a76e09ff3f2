import { type BatchState, isBatchOver } from "../../contract/batch.ts";
import type { Batch } from "../../contract/batch-resource.ts";
import { AppError } from "../../contract/errors.ts";
import type { BatchStore } from "../../state/batches/batch-store.ts";
import { costOf } from "../jobs/describe-job.ts";
import type { BatchDeps } from "./batch-deps.ts";

type Deps = Pick<BatchDeps, "batches" | "estimates" | "now">;

const TIMES = ["in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"] as const;

const seconds = (ms: number): number => Math.floor(ms / 1000);

/** A batch as its owner, and OpenAI's client, sees it. */
export async function describeBatch(state: BatchState, { batches, estimates }: Deps): Promise<Batch> {
  const { errors, output_file_id, error_file_id, usage } = state;
  return {
    object: "batch",
    id: state.id,
    endpoint: state.endpoint,
    model: state.model,
    input_file_id: state.input_file_id,
    completion_window: "24h",
    status: state.status,
    ...(errors.length > 0 && { errors: { object: "list" as const, data: errors } }),
    ...(output_file_id !== null && { output_file_id }),
    ...(error_file_id !== null && { error_file_id }),
    created_at: seconds(state.created_ms),
    expires_at: seconds(state.expires_ms),
    ...timesOf(state),
    request_counts: state.request_counts ?? (await countsOf(state, batches)),
    ...(usage !== null && { usage }),
    metadata: state.metadata,
    webhook: state.webhook,
    dry_run: state.dry_run,
    quote: await quoteOf(state, estimates),
  };
}

function timesOf(state: BatchState): { [K in `${(typeof TIMES)[number]}_at`]?: number } {
  const passed = TIMES.map((status) => [`${status}_at`, state[`${status}_ms`]] as const);
  return Object.fromEntries(passed.flatMap(([name, ms]) => (ms === null ? [] : [[name, seconds(ms)]])));
}

async function countsOf(state: BatchState, { parts }: BatchStore): Promise<Batch["request_counts"]> {
  const { completed, failed } = await parts.counts(state);
  return { total: state.lines, completed, failed };
}

async function quoteOf(
  { lines, invalid_lines, size, price, status, dry_run }: BatchState,
  estimates: Deps["estimates"],
): Promise<Batch["quote"]> {
  if (size === null) return null;
  const tokens = { promptTokens: size.prompt_tokens, completionTokens: size.completion_tokens };
  // Of what is over nobody asks how long it would take, and its description stays as it is.
  const run = isBatchOver(status) && !dry_run ? null : await estimates.seconds(tokens);
  const usage = {
    prompt_tokens: size.prompt_tokens,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens: size.completion_tokens,
  };
  return {
    requests: lines - invalid_lines,
    prompt_tokens: size.prompt_tokens,
    max_total_tokens: size.prompt_tokens + size.completion_tokens,
    estimated_hours: run === null ? null : run / 3600,
    max_cost: price && costOf(usage, price),
  };
}

const batchNotFound = (id: string, field = "batch_id"): AppError =>
  new AppError("batch_not_found", `no batch ${id}`, {
    field,
    detail: `There is no batch \`${id}\`: it never was, or was removed some time after its end; GET /v1/batches lists what there is.`,
  });

export async function readBatch(batches: BatchStore, tenant: string, id: string, field?: string): Promise<BatchState> {
  const state = await batches.get(tenant, id);
  if (state === null) throw batchNotFound(id, field);
  return state;
}
