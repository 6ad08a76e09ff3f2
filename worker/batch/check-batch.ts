import type { BatchState } from "../../api/contract/batch.ts";
import { AppError } from "../../api/contract/errors.ts";
import type { JobState } from "../../api/contract/job.ts";
import type { JobRequest } from "../../api/contract/job-request.ts";
import { refused, validated } from "../../api/state/batches/batch-record.ts";
import type { BatchStore } from "../../api/state/batches/batch-store.ts";
import type { JobStore } from "../../api/state/jobs/job-store.ts";
import type { Prompts } from "../../native/prompt/prompt.ts";
import type { RunControl } from "../job/run-job.ts";
import type { Shard } from "./shard-plan.ts";
import { validateLines } from "./validate-lines.ts";

export type CheckDeps = {
  batches: BatchStore;
  jobs: Pick<JobStore, "submit" | "get" | "cancel">;
  prompts: Pick<Prompts, "count" | "maxPositions">;
  newId: () => string;
  now: () => number;
};

/**
 * Validates the lines of a batch and makes a job of each shard. Can be repeated from any point: the lines are divided the
 * same way again, and a shard that has its job gets no other.
 */
export async function checkBatch(
  { tenant, progress, batch: of }: JobState,
  request: JobRequest,
  deps: CheckDeps,
  control: RunControl,
): Promise<void> {
  const { batches, jobs, prompts, now, newId } = deps;
  const { signal, onProgress } = control;
  const found = of && (await batches.get(tenant, of.id));
  // Its job comes before it.
  if (!found) throw new AppError("unavailable", "the batch is not there yet");
  if (found.status !== "validating" && found.status !== "in_progress") return;

  const input = await batches.readInput(found);
  const result = await validateLines(input, found, {
    prompts,
    signal,
    onProgress: (promptTokens, lines) =>
      onProgress({ ...progress, prompt_tokens: promptTokens, prefill_tokens: promptTokens, generated_tokens: lines }),
  });
  if (result.shards === null) {
    await batches.change(tenant, found.id, (current) => refused(current, result.errors, now()));
    return;
  }
  const { shards, lines, size } = result;
  const batch = await batches.change(tenant, found.id, (current) =>
    current.status === "validating" ? validated(current, { ...result, shards: shards.length }, now()) : null,
  );
  if (batch?.status !== "in_progress") return;
  const [open, done] = await Promise.all([batches.parts.listOpen(batch), batches.parts.listDone(batch)]);
  for (const [shard, content] of shards.entries()) {
    signal.throwIfAborted();
    if (!done.has(shard) && !(await hasJob(shard)) && !(await submit(batch, shard, content))) return;
    onProgress({ ...progress, prefill_tokens: size.prompt_tokens, generated_tokens: lines + shard });
  }

  async function hasJob(shard: number): Promise<boolean> {
    for (const part of open.filter((part) => part.shard === shard)) {
      if ((await jobs.get(tenant, part.job)) !== null) return true;
      // Of an attempt that broke off between the two.
      if (found) await batches.parts.close(found, part);
    }
    return false;
  }

  /** False if the batch was cancelled meanwhile and needs no more of them: who cancelled it may not have seen this one. */
  async function submit(batch: BatchState, shard: number, content: Shard): Promise<boolean> {
    const job = `job_${newId()}`;
    await batches.parts.open(batch, { shard, job });
    await jobs.submit(tenant, shardRequest(batch, shard, content, now()), { id: job });
    if ((await batches.get(tenant, batch.id))?.status === "in_progress") return true;
    await jobs.cancel(tenant, job);
    return false;
  }

  function shardRequest(batch: BatchState, shard: number, content: Shard, nowMs: number): JobRequest {
    const { firstLine, startByte, endByte, promptTokens, completionTokens } = content;
    return {
      ...request,
      input: {
        kind: "shard",
        document_ids: [],
        batch: batch.id,
        shard,
        first_line: firstLine,
        start_byte: startByte,
        end_byte: endByte,
      },
      prompt_tokens: promptTokens,
      // Each line has its own; this makes their sum.
      max_tokens: Math.max(1, Math.ceil(completionTokens / promptTokens.length)),
      // Whoever waits for an answer goes before a batch.
      priority: "low",
      ttl_ms: Math.max(1, batch.expires_ms - nowMs),
      idempotency_hash: null,
    };
  }
}
