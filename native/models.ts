// `npm run models -- [--json] [--device cpu|cuda] [--dtype auto|bfloat16|float32] [--max-tokens N] [directory]`: the
// architectures that are supported; of a model directory, what it holds and how long a prompt may be. Ends with 1 where the
// directory cannot be served, with 2 where the command is wrong.

import { parseArgs } from "node:util";
import type { Fit, Inspection } from "./binding.ts";
import { EngineError } from "./engine-error.ts";
import { inspectModel, supportedArchitectures } from "./inspect.ts";
import { resolveDtype } from "./options.ts";
import { loadPrompts } from "./prompt/prompt.ts";

const DEFAULT_MAX_TOKENS = 512;

/** Models that are published under an architecture's name, as far as its checkpoints were held to those of Transformers. */
const PUBLISHED: Record<string, string> = {
  LlamaForCausalLM: "Llama 3, 3.1 and 3.2, Llama-3-8B-Instruct-Gradient-1048k, Yi-9B-200K",
  MistralForCausalLM: "Mistral-7B",
  Qwen2ForCausalLM: "Qwen2 and Qwen2.5, with and without YaRN",
  Qwen3ForCausalLM: "Qwen3, dense",
  Phi3ForCausalLM: "Phi-3-mini-128k-instruct, Phi-3.5-mini",
  GlmForCausalLM: "GLM-4-9B-Chat-1M (-hf)",
  ChatGLMModel: "GLM-4-9B-Chat-1M",
  ChatGLMForConditionalGeneration: "GLM-4-9B-Chat-1M",
};

const DTYPES = ["auto", "bfloat16", "float32"] as const;
type Dtype = (typeof DTYPES)[number];
type Asked = { json: boolean; device: "cpu" | "cuda"; dtype: Dtype; maxTokens: number; modelDir: string | undefined };

process.exitCode = await main();

async function main(): Promise<number> {
  let asked: Asked;
  try {
    asked = parseCommand();
  } catch (error) {
    console.error((error as Error).message);
    return 2;
  }
  const report: Record<string, unknown> = {
    supported_architectures: supportedArchitectures().map((name) => ({ name, models: PUBLISHED[name] ?? null })),
  };
  const { json, modelDir } = asked;
  let isServed = true;
  if (modelDir !== undefined) {
    try {
      report.model = await inspect(modelDir, asked);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      report.model = { directory: modelDir, supported: false, code: error.code, reason: error.message };
      isServed = false;
    }
  }
  console.log(json ? JSON.stringify(report) : render(report));
  return isServed ? 0 : 1;
}

function parseCommand(): Asked {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      device: { type: "string", default: "cpu" },
      dtype: { type: "string", default: "auto" },
      "max-tokens": { type: "string", default: String(DEFAULT_MAX_TOKENS) },
    },
  });
  const { json, device } = values;
  if (device !== "cpu" && device !== "cuda") throw new Error(`--device is cpu or cuda, not ${device}`);
  const dtype = DTYPES.find((name) => name === values.dtype);
  if (dtype === undefined) throw new Error(`--dtype is auto, bfloat16 or float32, not ${values.dtype}`);
  const maxTokens = Number(values["max-tokens"]);
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) {
    throw new Error(`--max-tokens is a number from 1 on, not ${values["max-tokens"]}`);
  }
  if (positionals.length > 1) throw new Error(`one model directory at a time, not ${positionals.length}`);
  return { json, device, dtype, maxTokens, modelDir: positionals[0] };
}

/** Rejects with invalid_model also where there is no tokenizer or chat template: the engine alone would not miss them. */
async function inspect(modelDir: string, { device, dtype, maxTokens }: Asked) {
  const found = await inspectModel({ modelDir, device, dtype }, maxTokens);
  await loadPrompts(modelDir);
  return describe(modelDir, device, resolveDtype(device, dtype), maxTokens, found);
}

function describe(directory: string, device: string, dtype: string, maxTokens: number, found: Inspection) {
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
    dtype,
    file_bytes: model.weightBytes,
    loaded_bytes: found.loadedBytes,
    scratch_bytes: found.scratchBytes,
    capacity: { device_bytes: found.capacity.device, host_bytes: found.capacity.host },
    max_tokens: maxTokens,
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
  if (Array.isArray(value) && typeof value[0] !== "object") return `${name}: ${value.join(", ")}`;
  return Object.entries(value)
    .map(([key, item]) => render(item, name === "" ? key : `${name}.${key}`))
    .join("\n");
}
