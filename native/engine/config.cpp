#include "engine/config.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "engine/architecture.h"
#include "engine/error.h"
#include "engine/json.h"
#include "engine/rope_config.h"

namespace gnomon {

namespace {

constexpr size_t kMaxConfigBytes = 1'000'000;
constexpr size_t kMaxTokenizerConfigBytes = 20'000'000;
// Far above any model there is, and low enough that no product of them overflows.
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxLayers = 1 << 12;
constexpr int64_t kMaxHeads = 1 << 14;
constexpr int64_t kMaxHeadDim = 1 << 12;
constexpr int64_t kMaxPositions = int64_t{1} << 30;  // twice that is still an int32

// Each changes what the layers compute. Absent, null or false is fine.
constexpr const char* kUnsupported[] = {
    "quantization_config",
    "attn_logit_softcapping",
    "attention_logit_softcap",
    "attn_logit_softcap",
    "final_logit_softcapping",
    "attention_chunk_size",
    "use_qk_norm",
    "qk_layernorm",
    "no_rope_layers",
    "num_local_experts",
    "num_experts",
    "clip_qkv",
    "embedding_multiplier",
    "attention_multiplier",
    "residual_multiplier",
    "logits_scaling",
    "query_pre_attn_scalar",
    "alibi",
    "use_mrope",
};

// End a turn in chat models; some files list them nowhere but among the special tokens
// (Llama-3-8B-Instruct-Gradient-1048k, for one).
constexpr const char* kEndOfTurn[] = {"<|eot_id|>", "<|eom_id|>",    "<|im_end|>",
                                      "<|end|>",    "<|endoftext|>", "<|end_of_text|>"};

void expect_text(const JsonFields& fields, const std::string& name, const std::string& expected) {
  const auto value = fields.text_or(name, expected);
  if (value != expected) {
    fields.fail(name, "\"" + printable(value) + "\" is not supported; \"" + expected + "\" is");
  }
}

void expect_flag(const JsonFields& fields, const std::string& name, bool expected) {
  if (fields.flag_or(name, expected) != expected) {
    fields.fail(name,
                std::string("is not supported unless it is ") + (expected ? "true" : "false"));
  }
}

/// "torch_dtype" to Transformers 4, "dtype" to 5. The files say what each tensor is; this only
/// names an unsupported model before they are opened.
void check_dtype(const JsonFields& fields, const std::string& name) {
  const auto value = fields.text_or(name, "bfloat16");
  if (value != "bfloat16" && value != "float16" && value != "float32") {
    fields.fail(name,
                "\"" + printable(value) + "\" is not supported; bfloat16, float16 and float32 are");
  }
}

void check_computation(const JsonFields& fields, const Architecture& architecture,
                       int64_t max_positions) {
  expect_text(fields, "model_type", architecture.model_type);
  expect_text(fields, "hidden_act", "silu");
  check_dtype(fields, "dtype");
  check_dtype(fields, "torch_dtype");
  for (const char* name : kUnsupported) {
    const auto* value = fields.find(name);
    if (value && *value != false) fields.fail(name, "is not supported");
  }
  const bool window = fields.flag_or("use_sliding_window", architecture.window_by_default);
  if (window && fields.integer_or("sliding_window", max_positions, 0, INT64_MAX) < max_positions) {
    fields.fail("sliding_window", "is below max_position_embeddings, which is not supported");
  }
  if (const auto* types = fields.find("layer_types")) {
    const bool full = types->is_array() && std::all_of(types->begin(), types->end(), [](auto& t) {
                        return t == "full_attention";
                      });
    if (!full) fields.fail("layer_types", "may only hold \"full_attention\"");
  }
}

/// What ChatGLM's own configuration can switch, each at the value GLM-4 has.
void check_chatglm(const JsonFields& fields) {
  expect_flag(fields, "rmsnorm", true);
  expect_flag(fields, "post_layer_norm", true);
  expect_flag(fields, "original_rope", true);
  expect_flag(fields, "add_bias_linear", false);
  expect_flag(fields, "apply_residual_connection_post_layernorm", false);
  expect_flag(fields, "multi_query_attention", true);
  for (const char* name : {"quantization_bit", "prefix_projection", "pre_seq_len"}) {
    const auto* value = fields.find(name);
    if (value && *value != 0 && *value != false) fields.fail(name, "is not supported");
  }
}

/// Adds the ids of `eos_token_id`, a number or a list, that are not there yet.
void add_eos(uint32_t id, ModelConfig& config) {
  auto& ids = config.eos_token_ids;
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

void add_eos(const JsonFields& fields, ModelConfig& config) {
  const auto* value = fields.find("eos_token_id");
  if (!value) return;
  const auto add = [&](const nlohmann::json& item) {
    const auto id = as_int64(item);
    if (!id || *id < 0 || *id >= config.vocab_size) {
      fields.fail("eos_token_id", "must be token ids below vocab_size");
    }
    add_eos(static_cast<uint32_t>(*id), config);
  };
  if (!value->is_array()) return add(*value);
  for (const auto& item : *value) add(item);
}

/// `added_tokens_decoder` {"128009": {"content": "<|eot_id|>"}}.
void add_end_of_turn(const JsonFields& fields, ModelConfig& config) {
  const auto* tokens = fields.find("added_tokens_decoder");
  if (!tokens || !tokens->is_object()) return;
  for (const auto& [key, token] : tokens->items()) {
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size()) continue;
    if (id < 0 || id >= config.vocab_size || !token.is_object()) continue;
    const auto content = token.find("content");
    const bool ends = content != token.end() &&
                      std::ranges::find(kEndOfTurn, *content) != std::ranges::end(kEndOfTurn);
    if (ends) add_eos(static_cast<uint32_t>(id), config);
  }
}

/// ChatGLM has names of its own for the sizes.
struct SizeNames {
  const char* vocab;
  const char* intermediate;
  const char* layers;
  const char* kv_heads;
  const char* head_dim;
  const char* positions;
  const char* eps;
};
constexpr SizeNames kTransformersSizes{
    "vocab_size", "intermediate_size",       "num_hidden_layers", "num_key_value_heads",
    "head_dim",   "max_position_embeddings", "rms_norm_eps"};
constexpr SizeNames kChatGlmSizes{"padded_vocab_size",     "ffn_hidden_size", "num_layers",
                                  "multi_query_group_num", "kv_channels",     "seq_length",
                                  "layernorm_epsilon"};

ModelConfig read_sizes(const JsonFields& fields, const Architecture& architecture) {
  const SizeNames& names =
      architecture.naming == WeightNaming::chatglm ? kChatGlmSizes : kTransformersSizes;
  ModelConfig config;
  config.vocab_size = fields.integer(names.vocab, 1, kMaxVocab);
  config.hidden_size = fields.integer("hidden_size", 1, kMaxWidth);
  config.intermediate_size = fields.integer(names.intermediate, 1, kMaxWidth);
  config.num_layers = fields.integer(names.layers, 1, kMaxLayers);
  config.num_heads = fields.integer("num_attention_heads", 1, kMaxHeads);
  config.num_kv_heads = fields.integer_or(names.kv_heads, config.num_heads, 1, kMaxHeads);
  if (config.num_heads % config.num_kv_heads != 0) {
    fields.fail(names.kv_heads, "must divide num_attention_heads");
  }
  const bool derived = !fields.find(names.head_dim) && architecture.head_dim == 0;
  if (derived && config.hidden_size % config.num_heads != 0) {
    fields.fail("num_attention_heads", "must divide hidden_size where there is no head_dim");
  }
  config.head_dim = derived
                        ? config.hidden_size / config.num_heads
                        : fields.integer_or(names.head_dim, architecture.head_dim, 1, kMaxHeadDim);
  if (config.head_dim < 2 || config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim) {
    fields.fail(names.head_dim, "must be even and at most " + std::to_string(kMaxHeadDim));
  }
  if (config.query_width() > kMaxWidth) {
    fields.fail("num_attention_heads", "times head_dim is above " + std::to_string(kMaxWidth));
  }
  config.max_position_embeddings = fields.integer(names.positions, 1, kMaxPositions);
  config.rms_norm_eps = fields.number(names.eps, 1e-12, 1.0);
  return config;
}

bool has_bias(Bias bias, bool configured) {
  return bias == Bias::always || (bias == Bias::as_configured && configured);
}

/// Adds to the stop ids what a file beside config.json says, if there is one.
template <typename Add>
void add_from(const std::filesystem::path& path, size_t max_bytes, ModelConfig& config,
              const Add& add) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  const auto json = read_json(path, max_bytes);
  add(JsonFields(json, path.filename().string()), config);
}

ModelConfig read_config(const nlohmann::json& json) {
  const JsonFields fields(json, "config.json");
  const Architecture& architecture = find_architecture(fields);
  ModelConfig config = read_sizes(fields, architecture);
  config.architecture = architecture.name;
  check_computation(fields, architecture, config.max_position_embeddings);
  const bool is_chatglm = architecture.naming == WeightNaming::chatglm;
  if (is_chatglm) check_chatglm(fields);
  const bool bias = fields.flag_or(is_chatglm ? "add_qkv_bias" : "attention_bias", false);
  config.qkv_bias = has_bias(architecture.qkv_bias, bias);
  config.output_bias = has_bias(architecture.output_bias, bias);
  config.mlp_bias = fields.flag_or("mlp_bias", false);
  config.qk_norm = architecture.qk_norm;
  config.naming = architecture.naming;
  config.tie_word_embeddings = fields.flag_or("tie_word_embeddings", false);
  read_rope(fields, architecture, config);
  add_eos(fields, config);
  return config;
}

}  // namespace

ModelConfig parse_config(std::string_view text) {
  return read_config(parse_json(text, "config.json"));
}

ModelConfig load_config(const std::filesystem::path& model_dir) {
  ModelConfig config = read_config(read_json(model_dir / "config.json", kMaxConfigBytes));
  add_from(model_dir / "generation_config.json", kMaxConfigBytes, config,
           [](const JsonFields& from, ModelConfig& to) { add_eos(from, to); });
  add_from(model_dir / "tokenizer_config.json", kMaxTokenizerConfigBytes, config, add_end_of_turn);
  return config;
}

}  // namespace gnomon
