import type { Engine, GenerateControl, GenerateOptions, GenerateResult } from "../native/index.ts";

/** As the engine's result; `cancelled` where the sequence has not come to its end. */
export type SequenceResult = Omit<GenerateResult, "finishReason"> & {
  finishReason: GenerateResult["finishReason"] | "cancelled";
};

export type Sequence = {
  result: Promise<GenerateResult>;
  /** The result, or what there is of it by now. */
  soFar(): SequenceResult;
};

/** Runs one prompt and keeps what it generates, so that a stop does not throw it away. */
export function startSequence(
  engine: Engine,
  options: GenerateOptions,
  { signal, onProgress }: Required<Pick<GenerateControl, "signal" | "onProgress">>,
): Sequence {
  const generated: number[] = [];
  const startedMs = performance.now();
  let begunMs: number | undefined;
  let decodingMs: number | undefined;
  let ended: GenerateResult | undefined;

  async function run(): Promise<GenerateResult> {
    ended = await engine.generate(options, {
      signal,
      onProgress(progress) {
        begunMs ??= performance.now();
        onProgress(progress);
      },
      onTokens(tokens) {
        decodingMs ??= performance.now();
        for (const token of tokens) generated.push(token);
      },
    });
    return ended;
  }

  return {
    result: run(),
    soFar() {
      if (ended) return ended;
      const nowMs = performance.now();
      const begun = begunMs ?? nowMs;
      const decoding = decodingMs ?? nowMs;
      const promptTokens = options.tokens.length;
      const { cache, cacheFull } = engine.plan({ promptTokens, maxNewTokens: options.maxNewTokens });
      return {
        tokens: Uint32Array.from(generated),
        finishReason: "cancelled",
        promptTokens,
        // Known once the prefill has ended, and then only to the engine.
        cachedTokens: 0,
        queueMs: begun - startedMs,
        prefillMs: decoding - begun,
        decodeMs: nowMs - decoding,
        cache,
        cacheFull,
        // The engine tells it of a sequence only at its end; that of all of them stands in.
        hitRate: engine.stats().hitRate,
      };
    },
  };
}
