// `npm run models -- [--json] [--device cpu|cuda] [--max-tokens N] [directory]`: the architectures that are supported; of a
// model directory, what it holds and how long a prompt may be.

import { parseArgs } from "node:util";
import type { Fit, Inspection } from "./binding.ts";
import { EngineError } from "./engine-error.ts";
import { inspectModel, supportedArchitectures } from "./inspect.ts";

const DEFAULT_MAX_TOKENS = 512;

process.exitCode = await main();

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      device: { type: "string", default: "cpu" },
      "max-tokens": { type: "string", default: String(DEFAULT_MAX_TOKENS) },
    },
  });
  const report: Record<string, unknown> = { supported_architectures: supportedArchitectures() };
  const [modelDir] = positionals;
  if (modelDir !== undefined) {
    const maxTokens = Number(values["max-tokens"]);
    const device = values.device === "cuda" ? "cuda" : "cpu";
    try {
      report.model = describe(modelDir, device, await inspectModel({ modelDir, device }, maxTokens));
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      report.model = { directory: modelDir, supported: false, code: error.code, reason: error.message };
    }
  }
  console.log(values.json ? JSON.stringify(report) : render(report));
  return (report.model as { supported?: boolean } | undefined)?.supported === false ? 1 : 0;
}

function describe(directory: string, device: string, found: Inspection) {
  const { model } = found;
  return {
    directory,
    supported: true,
    architecture: found.architecture,
    num_layers: model.numLayers,
    hidden_size: model.hiddenSize,
    num_heads: model.numHeads,
    num_kv_heads: model.numKvHeads,
    head_dim: model.headDim,
    vocab_size: model.vocabSize,
    max_position_embeddings: model.maxPositionEmbeddings,
    rope: { theta: found.ropeTheta, scaling: found.ropeScaling, rotary_dim: found.rotaryDim },
    qkv_bias: found.qkvBias,
    qk_norm: found.qkNorm,
    tie_word_embeddings: found.tiedEmbeddings,
    eos_token_ids: model.eosTokenIds,
    device,
    file_bytes: model.weightBytes,
    loaded_bytes: found.loadedBytes,
    scratch_bytes: found.scratchBytes,
    capacity: { device_bytes: found.capacity.device, host_bytes: found.capacity.host },
    longest_prompt: { shadowkv: describeFit(found.shadowkv), full: describeFit(found.full) },
  };
}

function describeFit({ promptTokens, limit, cache }: Fit) {
  return {
    prompt_tokens: promptTokens,
    limited_by: limit,
    cache: { device_bytes: cache.device, host_bytes: cache.host },
  };
}

/** Every leaf on a line of its own. */
function render(value: unknown, name = ""): string {
  if (typeof value !== "object" || value === null) return `${name}: ${value}`;
  if (Array.isArray(value)) return `${name}: ${value.join(", ")}`;
  return Object.entries(value)
    .map(([key, item]) => render(item, name === "" ? key : `${name}.${key}`))
    .join("\n");
}
