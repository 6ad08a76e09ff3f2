import { type Inspection, loadAddon } from "./binding.ts";
import { type NativeError, rememberCallSite } from "./engine-error.ts";
import { type EngineOptions, fillOptions } from "./options.ts";

export const supportedArchitectures = (): string[] => loadAddon().architectures();

/**
 * What loading a model directory would find, and the longest prompts that would fit, without loading it. Rejects as
 * loadEngine does.
 */
export async function inspectModel(options: EngineOptions, maxNewTokens: number): Promise<Inspection> {
  const toEngineError = rememberCallSite();
  return loadAddon()
    .inspect(fillOptions(options), maxNewTokens)
    .catch((cause: NativeError) => {
      throw toEngineError(cause);
    });
}
