import { cutAtStop, generateText, settledText, type TextResult } from "../../native/generate-text.ts";
import type { Engine, GenerateControl, GenerateOptions, GenerateResult } from "../../native/index.ts";

/** As the engine's result; `cancelled` where the sequence has not come to its end. */
export type SequenceResult = Omit<TextResult, "finishReason"> & {
  finishReason: GenerateResult["finishReason"] | "cancelled";
};

export type Sequence = {
  result: Promise<TextResult>;
  /** The result, or what there is of it by now. */
  soFar(): Promise<SequenceResult>;
  /** As much of the text as stays, whatever comes. */
  text(): Promise<string>;
};

type Deps = { engine: Engine; decode(tokens: Uint32Array): Promise<string> };

/** Runs one prompt and keeps what it generates, so that a stop does not throw it away. */
export function startSequence(
  { engine, decode }: Deps,
  options: GenerateOptions & { stop: readonly string[] },
  { signal, onProgress }: Required<Pick<GenerateControl, "signal" | "onProgress">>,
): Sequence {
  const { stop } = options;
  const generated: number[] = [];
  const startedMs = performance.now();
  let begunMs: number | undefined;
  let decodingMs: number | undefined;
  let ended: TextResult | undefined;

  async function run(): Promise<TextResult> {
    ended = await generateText({ engine, decode }, options, {
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

    async text() {
      return ended ? ended.text : settledText(await decode(Uint32Array.from(generated)), stop);
    },

    async soFar() {
      if (ended) return ended;
      const nowMs = performance.now();
      const begun = begunMs ?? nowMs;
      const decoding = decodingMs ?? nowMs;
      const promptTokens = options.tokens.length;
      const { cache, cacheFull } = engine.plan({ promptTokens, maxNewTokens: options.maxNewTokens });
      // The engine tells it of a sequence only at its end; that of all of them stands in.
      const { hitRate } = engine.stats();
      const tokens = Uint32Array.from(generated);
      return {
        tokens,
        text: cutAtStop(await decode(tokens), stop),
        finishReason: "cancelled",
        promptTokens,
        // Known once the prefill has ended, and then only to the engine.
        cachedTokens: 0,
        queueMs: begun - startedMs,
        prefillMs: decoding - begun,
        decodeMs: nowMs - decoding,
        cache,
        cacheFull,
        hitRate,
      };
    },
  };
}
