#include "engine/weight_names.h"

namespace gnomon {

WeightNames weight_names(WeightNaming naming) {
  if (naming == WeightNaming::chatglm) {
    return {.embedding = "transformer.embedding.word_embeddings",
            .layers = "transformer.encoder.layers.",
            .final_norm = "transformer.encoder.final_layernorm",
            .lm_head = "transformer.output_layer",
            .input_norm = "input_layernorm",
            .post_norm = "post_attention_layernorm",
            .fused_qkv = "self_attention.query_key_value",
            .query = "self_attention.query",
            .key = "self_attention.key",
            .value = "self_attention.value",
            .output = "self_attention.dense",
            .query_norm = "self_attention.query_norm",
            .key_norm = "self_attention.key_norm",
            .fused_gate_up = "mlp.dense_h_to_4h",
            .gate = "mlp.gate",
            .up = "mlp.up",
            .down = "mlp.dense_4h_to_h"};
  }
  return {.embedding = "model.embed_tokens",
          .layers = "model.layers.",
          .final_norm = "model.norm",
          .lm_head = "lm_head",
          .input_norm = "input_layernorm",
          .post_norm = "post_attention_layernorm",
          .fused_qkv = "self_attn.qkv_proj",
          .query = "self_attn.q_proj",
          .key = "self_attn.k_proj",
          .value = "self_attn.v_proj",
          .output = "self_attn.o_proj",
          .query_norm = "self_attn.q_norm",
          .key_norm = "self_attn.k_norm",
          .fused_gate_up = "mlp.gate_up_proj",
          .gate = "mlp.gate_proj",
          .up = "mlp.up_proj",
          .down = "mlp.down_proj"};
}

}  // namespace gnomon
