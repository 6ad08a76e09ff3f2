#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace gnomon {

/// RoPE as the model file describes it (Transformers `rope_scaling`, or `rope_parameters`).
struct RopeConfig {
  enum class Scaling { none, linear, llama3 };
  double theta = 10000.0;
  Scaling scaling = Scaling::none;
  double factor = 1.0;
  double low_freq_factor = 1.0;                    // llama3
  double high_freq_factor = 4.0;                   // llama3
  double original_max_position_embeddings = 8192;  // llama3
};

/// A Llama-architecture model, named as in `config.json`.
struct ModelConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  bool tie_word_embeddings = false;
  bool attention_bias = false;  // q, k, v and o projections
  bool mlp_bias = false;
  RopeConfig rope;
  std::vector<uint32_t> eos_token_ids;

  int64_t query_width() const { return num_heads * head_dim; }
  int64_t key_width() const { return num_kv_heads * head_dim; }  // of all KV heads together
  int64_t query_group() const { return num_heads / num_kv_heads; }
};

/// Reads `config.json` (and the stop ids of `generation_config.json`, where there is one).
/// Throws EngineError invalid_model naming the field that is missing, out of range or unsupported.
ModelConfig load_config(const std::filesystem::path& model_dir);

/// Inverse frequencies after scaling, (head_dim / 2). Angles are `position * inverse_frequency`
/// in fp32, as Transformers computes them.
std::vector<float> inverse_frequencies(const RopeConfig& rope, int64_t head_dim);

}  // namespace gnomon
