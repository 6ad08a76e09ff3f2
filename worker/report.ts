import type { EngineInfo } from "../api/contract/job.ts";
import type { WorkerReport } from "../api/contract/worker-report.ts";
import type { Engine } from "../native/index.ts";

export type Reported = {
  engine: Pick<Engine, "plan" | "stats">;
  engineInfo: EngineInfo;
  /** Names this worker in leases. */
  owner: string;
  model: string;
  maxBatch: number;
  /** Prompt and new tokens that the model has positions for. */
  maxPositions: number;
};

/** Between this many new tokens and one lies what each of them adds, whatever the size of a page of the cache. */
const NEW_TOKENS = 1_024;

type Measure = (nowMs: number, stopping: boolean) => WorkerReport;

/** What a worker says of itself, again and again. What it costs to hold a sequence is asked of the engine once. */
export function createReport({ engine, engineInfo, owner, model, maxBatch, maxPositions }: Reported): Measure {
  const bytesOf = (promptTokens: number, maxNewTokens: number) => {
    const { cache, workspaceBytes } = engine.plan({ promptTokens, maxNewTokens });
    return { device: cache.device + workspaceBytes, host: cache.host };
  };
  const points = promptLengths(maxPositions).map((prompt_tokens) => ({
    prompt_tokens,
    bytes: bytesOf(prompt_tokens, 1),
  }));
  const more = Math.max(1, Math.min(NEW_TOKENS, maxPositions - 2));
  const [few, many] = [bytesOf(1, 1), bytesOf(1, 1 + more)];
  const perToken = (of: "device" | "host") => (many[of] - few[of]) / more;

  return (nowMs, stopping) => {
    const { prefilledTokens, prefillSeconds, decodedTokens, decodeSeconds, capacity } = engine.stats();
    return {
      v: 1,
      owner,
      model,
      engine: engineInfo,
      max_batch: maxBatch,
      prefill_tokens_per_second: rate(prefilledTokens, prefillSeconds),
      decode_tokens_per_second: rate(decodedTokens, decodeSeconds),
      capacity_bytes: capacity,
      sequence_bytes: points,
      new_token_bytes: { device: perToken("device"), host: perToken("host") },
      updated_ms: nowMs,
      stopping,
    };
  };
}

/** Powers of two up to what the model takes, and that: in between the bytes are nearly a straight line. */
function promptLengths(maxPositions: number): number[] {
  const longest = Math.max(1, maxPositions - 1);
  const lengths: number[] = [];
  for (let length = 1; length < longest; length *= 2) lengths.push(length);
  return [...lengths, longest];
}

const rate = (tokens: number, seconds: number): number | null => (tokens > 0 && seconds > 0 ? tokens / seconds : null);
