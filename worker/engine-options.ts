import type { WorkerEnv } from "../api/contract/env.ts";
import type { EngineOptions } from "../native/index.ts";

/** Sequences that decode at once where the environment does not say. */
const DEFAULT_MAX_BATCH = 64;

/** The environment's words for the engine; what is unset or 0 the engine chooses. */
export function engineOptions(env: WorkerEnv): EngineOptions & { maxBatch: number } {
  return {
    modelDir: env.GNOMON_MODEL,
    maxBatch: env.GNOMON_MAX_BATCH || DEFAULT_MAX_BATCH,
    ...given({ device: env.GNOMON_DEVICE, dtype: env.GNOMON_DTYPE, threads: env.GNOMON_THREADS || undefined }),
    memory: given({
      deviceBytes: env.GNOMON_DEVICE_BYTES || undefined,
      hostBytes: env.GNOMON_HOST_BYTES || undefined,
    }),
    cache:
      env.GNOMON_CACHE === "full"
        ? { kind: "full" }
        : {
            kind: "shadowkv",
            ...given({
              rank: env.GNOMON_RANK,
              chunkSize: env.GNOMON_CHUNK_SIZE,
              sparseBudget: env.GNOMON_SPARSE_BUDGET,
              outlierChunks: env.GNOMON_OUTLIER_CHUNKS,
              localWindow: env.GNOMON_LOCAL_WINDOW,
            }),
          },
  };
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the fields that are undefined. */
const given = <T extends object>(fields: T): Given<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<T>;
