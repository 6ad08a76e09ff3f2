import type { JobState } from "../../api/contract/job.ts";
import type { JobRequest } from "../../api/contract/job-request.ts";
import type { JobResult } from "../../api/contract/job-result.ts";
import type { JobRun, RunControl } from "../job/run-job.ts";
import { type CheckDeps, checkBatch } from "./check-batch.ts";
import { type ShardDeps, startShard } from "./run-shard.ts";

export type BatchPartDeps = CheckDeps & ShardDeps;

/** Starts a job that belongs to a batch; null for one that stands for itself. */
export function startBatchPart(
  state: JobState,
  request: JobRequest,
  deps: BatchPartDeps,
  control: RunControl,
): JobRun | null {
  const { input } = request;
  if (input.kind === "shard") return startShard(state, { ...request, input }, deps, control);
  if (input.kind !== "batch") return null;
  const done = checkBatch(state, request, deps, control).then(() => checked(state, request));
  return { result: done, partial: async () => null, texts: async () => [] };
}

/** It answers nothing, and takes nothing of the engine. */
const checked = ({ id, attempt }: JobState, { model }: JobRequest): JobResult => ({
  object: "job.result",
  id,
  model,
  attempt,
  answers: [],
  usage: {
    prompt_tokens: 0,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens: 0,
    total_tokens: 0,
  },
});
