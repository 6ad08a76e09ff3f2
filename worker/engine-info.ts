import type { EngineInfo } from "../api/contract/job.ts";
import type { Engine } from "../native/index.ts";
import project from "../package.json" with { type: "json" };

/** What a result was made with. */
export function engineInfo(
  { device, dtype, cache }: Pick<Engine, "device" | "dtype" | "cache">,
  modelRevision: string,
): EngineInfo {
  const { kind, rank, chunkSize, sparseBudget, outlierChunks, localWindow, slots, values } = cache;
  return {
    version: project.version,
    model_revision: modelRevision,
    device,
    dtype,
    cache:
      kind === "full"
        ? { kind }
        : {
            kind,
            rank,
            chunk_size: chunkSize,
            sparse_budget: sparseBudget,
            outlier_chunks: outlierChunks,
            local_window: localWindow,
            // 0: twice the selected chunks.
            slots,
            values,
          },
  };
}
