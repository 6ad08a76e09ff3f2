import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

export const TINY = { vocabSize: 48, hiddenSize: 32, keyWidth: 16, maxPositions: 256 };

/** Writes a one-layer model of zero weights, with one KV head of 16 columns: enough to load and to run. */
export async function writeTinyModel(dir: string): Promise<void> {
  const { vocabSize, hiddenSize, keyWidth, maxPositions } = TINY;
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: vocabSize,
    hidden_size: hiddenSize,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: keyWidth,
    max_position_embeddings: maxPositions,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    hidden_act: "silu",
    tie_word_embeddings: true,
    eos_token_id: 1,
  };
  const layer = "model.layers.0.";
  const shapes: Record<string, number[]> = {
    "model.embed_tokens.weight": [vocabSize, hiddenSize],
    "model.norm.weight": [hiddenSize],
    [`${layer}input_layernorm.weight`]: [hiddenSize],
    [`${layer}post_attention_layernorm.weight`]: [hiddenSize],
    [`${layer}self_attn.q_proj.weight`]: [hiddenSize, hiddenSize],
    [`${layer}self_attn.k_proj.weight`]: [keyWidth, hiddenSize],
    [`${layer}self_attn.v_proj.weight`]: [keyWidth, hiddenSize],
    [`${layer}self_attn.o_proj.weight`]: [hiddenSize, hiddenSize],
    [`${layer}mlp.gate_proj.weight`]: [64, hiddenSize],
    [`${layer}mlp.up_proj.weight`]: [64, hiddenSize],
    [`${layer}mlp.down_proj.weight`]: [hiddenSize, 64],
  };
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "config.json"), JSON.stringify(config));
  await writeFile(join(dir, "model.safetensors"), zeroTensors(shapes));
}

/** A safetensors file: length of the header in 8 bytes, header, data. */
function zeroTensors(shapes: Record<string, number[]>): Buffer {
  const header: Record<string, unknown> = {};
  let bytes = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const end = bytes + 4 * shape.reduce((product, extent) => product * extent, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [bytes, end] };
    bytes = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(bytes)]);
}
