import { expect, it } from "vitest";
import { parseEnv, WorkerEnv } from "../../api/contract/env.ts";
import { engineOptions } from "../../worker/engine-options.ts";

const optionsOf = (env: Record<string, string>) => engineOptions(parseEnv(WorkerEnv, env));

it("leaves to the engine what the environment does not say", () => {
  expect(optionsOf({})).toEqual({
    modelDir: "native/models/needle",
    maxBatch: 64,
    memory: {},
    cache: { kind: "shadowkv" },
  });
});

it("passes every knob on", () => {
  const env = {
    GNOMON_MODEL: "/models/llama",
    GNOMON_DEVICE: "cuda",
    GNOMON_DTYPE: "float32",
    GNOMON_THREADS: "3",
    GNOMON_MAX_BATCH: "9",
    GNOMON_DEVICE_BYTES: "1000",
    GNOMON_HOST_BYTES: "2000",
    GNOMON_RANK: "160",
    GNOMON_CHUNK_SIZE: "8",
    GNOMON_SPARSE_BUDGET: "2048",
    GNOMON_OUTLIER_CHUNKS: "48",
    GNOMON_LOCAL_WINDOW: "64",
  };
  expect(optionsOf(env)).toEqual({
    modelDir: "/models/llama",
    device: "cuda",
    dtype: "float32",
    threads: 3,
    maxBatch: 9,
    memory: { deviceBytes: 1000, hostBytes: 2000 },
    cache: { kind: "shadowkv", rank: 160, chunkSize: 8, sparseBudget: 2048, outlierChunks: 48, localWindow: 64 },
  });
});

it("gives full attention none of ShadowKV's knobs, which it would refuse", () => {
  expect(optionsOf({ GNOMON_CACHE: "full", GNOMON_RANK: "160" }).cache).toEqual({ kind: "full" });
});
