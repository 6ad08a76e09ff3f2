import {
  type CacheBytes,
  type CacheOptions,
  type EngineStats,
  type GenerateResult,
  type LoadProgress,
  loadAddon,
  type ModelInfo,
  type NativeEngine,
  type NativeOptions,
  type Plan,
  type Progress,
} from "./binding.ts";
import { type Check, createCheck } from "./check.ts";
import { type NativeError, rememberCallSite } from "./engine-error.ts";
import { type EngineOptions, fillOptions } from "./options.ts";
import { checkPositions, fillRequest, type GenerateOptions } from "./request.ts";

export type {
  CacheBytes,
  CacheOptions,
  EngineOptions,
  EngineStats,
  GenerateOptions,
  GenerateResult,
  LoadProgress,
  ModelInfo,
  Plan,
  Progress,
};

export type GenerateControl = {
  /** Aborting rejects with the signal's reason once the engine has let the request go: within one step. */
  signal?: AbortSignal;
  /** Aborting ends the answer where it is, as a stop token would: it resolves with the tokens there are. */
  finish?: AbortSignal;
  /** At most ten times a second, and always with the last. */
  onProgress?: (progress: Progress) => void;
  /** Each new token as it is made. What either callback throws cancels the request and rejects it. */
  onTokens?: (tokens: Uint32Array) => void;
};

/**
 * A loaded model on a thread of its own. Requests run together in one continuous batch. They keep the process alive, an
 * idle engine does not. Everything throws or rejects with EngineError, except that an abort rejects with its reason.
 */
export interface Engine {
  /** What a request would take, and whether there is memory for it. */
  plan(request: { promptTokens: number; maxNewTokens: number }): Plan;
  generate(request: GenerateOptions, control?: GenerateControl): Promise<GenerateResult>;
  stats(): EngineStats;
  readonly model: ModelInfo;
  readonly device: "cpu" | "cuda";
  readonly dtype: "bfloat16" | "float32";
  /** With every default in it. */
  readonly cache: CacheOptions;
  /** Ends running and waiting requests with `closed`; resolves when the model's memory is free. May be repeated. */
  close(): Promise<void>;
}

export type LoadControl = {
  /** At most ten times a second, and always with the last. What it throws comes to light when the model is loaded. */
  onProgress?: (progress: LoadProgress) => void;
};

/** Rejects with invalid_options, invalid_model, out_of_memory or device_unavailable. */
export async function loadEngine(options: EngineOptions, { onProgress }: LoadControl = {}): Promise<Engine> {
  const toEngineError = rememberCallSite();
  const filled = fillOptions(options);
  let failure: { thrown: unknown } | undefined;
  const tell = (progress: LoadProgress): void => {
    try {
      onProgress?.(progress);
    } catch (thrown) {
      failure ??= { thrown };
    }
  };
  const native = await loadAddon()
    .load(filled, tell)
    .catch((cause: NativeError) => {
      throw toEngineError(cause);
    });
  if (failure) {
    await native.close();
    throw failure.thrown;
  }
  return new LoadedEngine(native, filled);
}

const check: Check = createCheck("invalid_request");

class LoadedEngine implements Engine {
  readonly model: ModelInfo;
  readonly device: "cpu" | "cuda";
  readonly dtype: "bfloat16" | "float32";
  readonly cache: CacheOptions;
  readonly #native: NativeEngine;
  #closed: Promise<void> | undefined;

  constructor(native: NativeEngine, { device, dtype, cache }: NativeOptions) {
    this.#native = native;
    this.model = native.model();
    this.device = device;
    this.dtype = dtype;
    this.cache = { ...cache, rank: native.rank };
  }

  plan(request: { promptTokens: number; maxNewTokens: number }): Plan {
    const promptTokens = check.wholeNumber("promptTokens", request.promptTokens, 1);
    const maxNewTokens = check.wholeNumber("maxNewTokens", request.maxNewTokens, 1);
    checkPositions(promptTokens, maxNewTokens, this.model);
    return atCallSite(() => this.#native.plan(promptTokens, maxNewTokens));
  }

  stats(): EngineStats {
    return atCallSite(() => this.#native.stats());
  }

  async generate(request: GenerateOptions, control: GenerateControl = {}): Promise<GenerateResult> {
    const { signal, finish: finished, onProgress, onTokens } = control;
    signal?.throwIfAborted();
    const filled = { ...fillRequest(request, this.model), wantTokens: onTokens !== undefined };
    const toEngineError = rememberCallSite();

    return new Promise((resolve, reject) => {
      let stopped: { reason: unknown } | undefined;
      const stop = (reason: unknown) => {
        stopped ??= { reason };
        this.#native.cancel(id);
      };
      const onAbort = () => stop(signal?.reason);
      const onFinish = () => this.#native.finish(id);
      const settle = (finish: () => void) => {
        signal?.removeEventListener("abort", onAbort);
        finished?.removeEventListener("abort", onFinish);
        if (stopped) reject(stopped.reason);
        else finish();
      };
      const tell = <T>(callback: ((value: T) => void) | undefined, value: T) => {
        if (stopped) return;
        try {
          callback?.(value);
        } catch (thrown) {
          stop(thrown);
        }
      };
      const id = atCallSite(() =>
        this.#native.generate(filled, {
          progress: (progress) => tell(onProgress, progress),
          tokens: (tokens) => tell(onTokens, tokens),
          done: (result) => settle(() => resolve(result)),
          error: (cause) => settle(() => reject(toEngineError(cause))),
        }),
      );
      signal?.addEventListener("abort", onAbort);
      finished?.addEventListener("abort", onFinish);
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#native.close();
    return this.#closed;
  }
}

/** Makes what the addon throws an EngineError. */
function atCallSite<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw rememberCallSite()(cause as NativeError);
  }
}
