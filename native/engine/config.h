#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gnomon {

/// RoPE as the model file describes it (Transformers `rope_scaling`, or `rope_parameters`).
struct RopeConfig {
  enum class Scaling { none, linear, llama3, yarn, longrope };
  double theta = 10000.0;
  Scaling scaling = Scaling::none;
  double factor = 1.0;
  double low_freq_factor = 1.0;                    // llama3
  double high_freq_factor = 4.0;                   // llama3
  double original_max_position_embeddings = 8192;  // llama3, yarn, longrope
  double beta_fast = 32.0;                         // yarn
  double beta_slow = 1.0;                          // yarn
  bool truncate = true;                            // yarn
  double attention_factor = 1.0;                   // of cosines and sines: yarn, longrope
  std::vector<double> long_factors = {};           // longrope (rotary_dim / 2)
  std::vector<double> short_factors = {};          // longrope (rotary_dim / 2)
  int64_t rotary_dim = 0;    // leading dimensions of a head that are rotated; 0: all of them
  bool interleaved = false;  // the file pairs (2i, 2i + 1), not (i, i + rotary_dim / 2)

  int64_t rotated_dims(int64_t head_dim) const { return rotary_dim > 0 ? rotary_dim : head_dim; }
};

/// How the checkpoint names its tensors.
enum class WeightNaming { transformers, chatglm };

/// A decoder of the Llama family, named as in `config.json`.
struct ModelConfig {
  std::string architecture;
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
  bool qkv_bias = false;
  bool output_bias = false;  // of attention's output projection
  bool mlp_bias = false;
  bool qk_norm = false;  // an RMS norm of every query and key head before RoPE
  WeightNaming naming = WeightNaming::transformers;
  RopeConfig rope;
  std::vector<uint32_t> eos_token_ids;

  int64_t query_width() const { return num_heads * head_dim; }
  int64_t key_width() const { return num_kv_heads * head_dim; }  // of all KV heads together
  int64_t query_group() const { return num_heads / num_kv_heads; }
};

/// Reads `config.json`, and more stop ids where there are any: those of `generation_config.json`,
/// and the end-of-turn tokens that `tokenizer_config.json` lists. Throws EngineError invalid_model
/// naming the field that is missing, out of range or unsupported.
ModelConfig load_config(const std::filesystem::path& model_dir);

/// What a config.json of this text says, stop ids of other files left out. Throws as load_config.
ModelConfig parse_config(std::string_view text);

/// The names that `architectures` of a config.json may hold.
std::vector<std::string> supported_architectures();

/// LongRoPE has two sets of frequencies: one for sequences within the original context.
enum class RopeContext { full, original };

/// Inverse frequencies after scaling, (head_dim / 2), of the pairs (i, i + head_dim / 2): the
/// loader brings the heads of every model into this order, pairs that are not rotated last, with
/// frequency 0. Angles are `position * inverse_frequency` in fp32, as Transformers computes them.
std::vector<float> inverse_frequencies(const RopeConfig& rope, int64_t head_dim,
                                       RopeContext context = RopeContext::full);

/// What multiplies the cosine and sine of each pair, (head_dim / 2).
std::vector<float> rotation_scales(const RopeConfig& rope, int64_t head_dim);

/// Where the positions of sequences within the original context of LongRoPE begin: tables hold the
/// full context below it, the original one from it on. A multiple of 256.
int64_t original_context_start(const ModelConfig& config);

/// The position of the first token of a sequence that will be at most `tokens` long. The set of
/// frequencies is chosen once for a sequence: its cached keys cannot change theirs.
int64_t first_position(const ModelConfig& config, int64_t tokens);

}  // namespace gnomon
