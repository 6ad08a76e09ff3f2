#include "engine/config.h"

#include <algorithm>
#include <string>

#include "engine/error.h"
#include "engine/json.h"

namespace gnomon {

namespace {

constexpr size_t kMaxConfigBytes = 1'000'000;
// Far above any model there is, and low enough that no product of them overflows.
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxLayers = 1 << 12;
constexpr int64_t kMaxHeads = 1 << 14;
constexpr int64_t kMaxHeadDim = 1 << 12;
constexpr int64_t kMaxPositions = INT32_MAX;  // positions are int32
constexpr double kMaxTheta = 1e15;
constexpr double kMaxFactor = 1e6;

// Each changes what the layers compute. Absent, null or false is fine.
constexpr const char* kUnsupported[] = {
    "quantization_config", "attn_logit_softcapping",  "attention_logit_softcap",
    "attn_logit_softcap",  "final_logit_softcapping", "attention_chunk_size",
    "use_qk_norm",         "no_rope_layers",          "num_local_experts",
};

void check_architecture(const JsonFields& fields) {
  const auto* architectures = fields.find("architectures");
  if (!architectures) fields.fail("architectures", "is missing");
  if (!architectures->is_array() || architectures->size() != 1 ||
      !architectures->front().is_string()) {
    fields.fail("architectures", "must be a list of one name");
  }
  const auto name = architectures->front().get<std::string>();
  if (name != "LlamaForCausalLM") {
    fields.fail("architectures",
                "\"" + printable(name) + "\" is not supported; LlamaForCausalLM is");
  }
}

void expect_text(const JsonFields& fields, const std::string& name, const std::string& expected) {
  const auto value = fields.text_or(name, expected);
  if (value != expected) {
    fields.fail(name, "\"" + printable(value) + "\" is not supported; \"" + expected + "\" is");
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

void check_computation(const JsonFields& fields, int64_t max_positions) {
  expect_text(fields, "model_type", "llama");
  expect_text(fields, "hidden_act", "silu");
  check_dtype(fields, "dtype");
  check_dtype(fields, "torch_dtype");
  for (const char* name : kUnsupported) {
    const auto* value = fields.find(name);
    if (value && *value != false) fields.fail(name, "is not supported");
  }
  if (fields.flag_or("use_sliding_window", true) &&
      fields.integer_or("sliding_window", max_positions, 0, INT64_MAX) < max_positions) {
    fields.fail("sliding_window", "is not supported");
  }
  if (fields.number_or("partial_rotary_factor", 1.0, 0.0, 1.0) != 1.0) {
    fields.fail("partial_rotary_factor", "is not supported unless it is 1");
  }
  if (const auto* types = fields.find("layer_types")) {
    const bool full = types->is_array() && std::all_of(types->begin(), types->end(), [](auto& t) {
                        return t == "full_attention";
                      });
    if (!full) fields.fail("layer_types", "may only hold \"full_attention\"");
  }
}

/// Transformers 4 writes `rope_theta` beside `rope_scaling` {rope_type, or type in older files};
/// Transformers 5 writes `rope_parameters` {rope_type, rope_theta}.
RopeConfig read_rope(const JsonFields& fields) {
  const auto parameters = fields.object("rope_parameters");
  const auto scaling = fields.object("rope_scaling");
  if (parameters && scaling) fields.fail("rope_scaling", "contradicts rope_parameters");

  RopeConfig rope;
  rope.theta = fields.number_or("rope_theta", rope.theta, 1.0, kMaxTheta);
  if (!parameters && !scaling) return rope;

  const JsonFields& from = parameters ? *parameters : *scaling;
  const double theta = from.number_or("rope_theta", rope.theta, 1.0, kMaxTheta);
  if (fields.find("rope_theta") && theta != rope.theta) {
    from.fail("rope_theta", "differs from rope_theta");
  }
  rope.theta = theta;
  if (from.number_or("partial_rotary_factor", 1.0, 0.0, 1.0) != 1.0) {
    from.fail("partial_rotary_factor", "is not supported unless it is 1");
  }

  const std::string type_name = from.find("type") && !from.find("rope_type") ? "type" : "rope_type";
  const std::string type = from.text(type_name);
  if (type == "default") return rope;
  if (type != "linear" && type != "llama3") {
    from.fail(type_name,
              "\"" + printable(type) + "\" is not supported; default, linear and llama3 are");
  }
  rope.factor = from.number("factor", 1.0, kMaxFactor);
  if (type == "linear") {
    rope.scaling = RopeConfig::Scaling::linear;
    return rope;
  }
  rope.scaling = RopeConfig::Scaling::llama3;
  rope.low_freq_factor = from.number("low_freq_factor", 1e-6, kMaxFactor);
  rope.high_freq_factor = from.number("high_freq_factor", 1e-6, kMaxFactor);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    from.fail("high_freq_factor", "must be above low_freq_factor");
  }
  rope.original_max_position_embeddings =
      static_cast<double>(from.integer("original_max_position_embeddings", 1, kMaxPositions));
  return rope;
}

/// Adds the ids of `eos_token_id`, a number or a list, that are not there yet.
void add_eos(const JsonFields& fields, ModelConfig& config) {
  const auto* value = fields.find("eos_token_id");
  if (!value) return;
  const auto add = [&](const nlohmann::json& item) {
    const auto id = as_int64(item);
    if (!id || *id < 0 || *id >= config.vocab_size) {
      fields.fail("eos_token_id", "must be token ids below vocab_size");
    }
    auto& ids = config.eos_token_ids;
    if (std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
  };
  if (!value->is_array()) return add(*value);
  for (const auto& item : *value) add(item);
}

ModelConfig read_sizes(const JsonFields& fields) {
  ModelConfig config;
  config.vocab_size = fields.integer("vocab_size", 1, kMaxVocab);
  config.hidden_size = fields.integer("hidden_size", 1, kMaxWidth);
  config.intermediate_size = fields.integer("intermediate_size", 1, kMaxWidth);
  config.num_layers = fields.integer("num_hidden_layers", 1, kMaxLayers);
  config.num_heads = fields.integer("num_attention_heads", 1, kMaxHeads);
  config.num_kv_heads = fields.integer_or("num_key_value_heads", config.num_heads, 1, kMaxHeads);
  if (config.num_heads % config.num_kv_heads != 0) {
    fields.fail("num_key_value_heads", "must divide num_attention_heads");
  }
  if (!fields.find("head_dim") && config.hidden_size % config.num_heads != 0) {
    fields.fail("num_attention_heads", "must divide hidden_size where there is no head_dim");
  }
  config.head_dim =
      fields.integer_or("head_dim", config.hidden_size / config.num_heads, 1, kMaxHeadDim);
  if (config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim) {
    fields.fail("head_dim", "must be even and at most " + std::to_string(kMaxHeadDim));
  }
  if (config.query_width() > kMaxWidth) {
    fields.fail("num_attention_heads", "times head_dim is above " + std::to_string(kMaxWidth));
  }
  config.max_position_embeddings = fields.integer("max_position_embeddings", 1, kMaxPositions);
  return config;
}

}  // namespace

ModelConfig load_config(const std::filesystem::path& model_dir) {
  const auto json = read_json(model_dir / "config.json", kMaxConfigBytes);
  const JsonFields fields(json, "config.json");
  check_architecture(fields);
  ModelConfig config = read_sizes(fields);
  check_computation(fields, config.max_position_embeddings);
  config.rms_norm_eps = fields.number("rms_norm_eps", 1e-12, 1.0);
  config.tie_word_embeddings = fields.flag_or("tie_word_embeddings", false);
  config.attention_bias = fields.flag_or("attention_bias", false);
  config.mlp_bias = fields.flag_or("mlp_bias", false);
  config.rope = read_rope(fields);
  add_eos(fields, config);

  const auto generation_path = model_dir / "generation_config.json";
  std::error_code ignored;
  if (std::filesystem::exists(generation_path, ignored)) {
    const auto generation = read_json(generation_path, kMaxConfigBytes);
    add_eos(JsonFields(generation, "generation_config.json"), config);
  }
  return config;
}

}  // namespace gnomon
