#include "engine/config.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "test/native/support/engine_error.h"
#include "test/native/support/temp_dir.h"

using namespace gnomon;
using namespace gnomon::test;
using nlohmann::json;

namespace {

/// As Transformers 4 writes Llama-3.1-8B-Instruct.
json llama_31() {
  return json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
    "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu",
    "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 14336,
    "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "pretraining_tp": 1, "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "transformers_version": "4.42.3", "use_cache": true, "vocab_size": 128256})");
}

ModelConfig load(const json& config) {
  const TempDir dir;
  dir.write("config.json", config.dump());
  return load_config(dir.path());
}

std::string load_error(const json& config) {
  return error_of("invalid_model", [&] { load(config); });
}

json with(const json& patch) {
  json config = llama_31();
  config.update(patch);
  return config;
}

json without(const std::string& field) {
  json config = llama_31();
  config.erase(field);
  return config;
}

}  // namespace

TEST_CASE("config: every field of a Transformers 4 file is read") {
  const ModelConfig config = load(llama_31());
  CHECK(config.vocab_size == 128256);
  CHECK(config.hidden_size == 4096);
  CHECK(config.intermediate_size == 14336);
  CHECK(config.num_layers == 32);
  CHECK(config.num_heads == 32);
  CHECK(config.num_kv_heads == 8);
  CHECK(config.head_dim == 128);
  CHECK(config.max_position_embeddings == 131072);
  CHECK(config.rms_norm_eps == 1e-5);
  CHECK_FALSE(config.tie_word_embeddings);
  CHECK_FALSE(config.qkv_bias);
  CHECK_FALSE(config.mlp_bias);
  CHECK(config.rope.theta == 500000.0);
  CHECK(config.rope.scaling == RopeConfig::Scaling::llama3);
  CHECK(config.rope.factor == 8.0);
  CHECK(config.rope.low_freq_factor == 1.0);
  CHECK(config.rope.high_freq_factor == 4.0);
  CHECK(config.rope.original_max_position_embeddings == 8192.0);
  CHECK(config.eos_token_ids == std::vector<uint32_t>{128001, 128008, 128009});
}

TEST_CASE("config: a Transformers 5 file says the same in its own words") {
  json five = without("torch_dtype");
  five.erase("rope_theta");
  five["rope_parameters"] = five["rope_scaling"];
  five["rope_parameters"]["rope_theta"] = 500000.0;
  five.erase("rope_scaling");
  five["dtype"] = "bfloat16";
  const ModelConfig config = load(five);
  CHECK(config.rope.theta == 500000.0);
  CHECK(config.rope.scaling == RopeConfig::Scaling::llama3);
  CHECK(config.rope.original_max_position_embeddings == 8192.0);

  five["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 1e7}};
  CHECK(load(five).rope.theta == 1e7);
  CHECK(load(five).rope.scaling == RopeConfig::Scaling::none);
}

TEST_CASE("config: absent and null fields take the defaults of Transformers") {
  json small =
      with({{"rope_scaling", nullptr}, {"head_dim", nullptr}, {"sliding_window", nullptr}});
  for (const char* field : {"num_key_value_heads", "attention_bias", "mlp_bias", "rope_theta",
                            "tie_word_embeddings", "eos_token_id", "hidden_act", "torch_dtype"}) {
    small.erase(field);
  }
  const ModelConfig config = load(small);
  CHECK(config.num_kv_heads == 32);
  CHECK(config.head_dim == 128);
  CHECK(config.rope.theta == 10000.0);
  CHECK(config.rope.scaling == RopeConfig::Scaling::none);
  CHECK_FALSE(config.tie_word_embeddings);
  CHECK(config.eos_token_ids.empty());
}

TEST_CASE("config: variants of Llama are read") {
  const ModelConfig config = load(with({{"head_dim", 96},
                                        {"num_key_value_heads", 1},
                                        {"attention_bias", true},
                                        {"mlp_bias", true},
                                        {"tie_word_embeddings", true},
                                        {"eos_token_id", 2},
                                        {"rope_scaling", {{"type", "linear"}, {"factor", 2}}},
                                        {"sliding_window", 4096},
                                        {"use_sliding_window", false}}));
  CHECK(config.head_dim == 96);
  CHECK(config.query_width() == 32 * 96);
  CHECK(config.key_width() == 96);
  CHECK(config.query_group() == 32);
  CHECK(config.qkv_bias);
  CHECK(config.mlp_bias);
  CHECK(config.tie_word_embeddings);
  CHECK(config.eos_token_ids == std::vector<uint32_t>{2});
  CHECK(config.rope.scaling == RopeConfig::Scaling::linear);
  CHECK(config.rope.factor == 2.0);
  // A window as wide as the model masks nothing.
  CHECK(load(with({{"sliding_window", 131072}})).max_position_embeddings == 131072);
}

TEST_CASE("config: ChatGLM's own names are read") {
  const json glm = json::parse(R"({
    "architectures": ["ChatGLMModel"], "model_type": "chatglm", "add_bias_linear": false,
    "add_qkv_bias": true, "apply_query_key_layer_scaling": true,
    "apply_residual_connection_post_layernorm": false, "ffn_hidden_size": 13696,
    "hidden_size": 4096, "kv_channels": 128, "layernorm_epsilon": 1.5625e-07,
    "multi_query_attention": true, "multi_query_group_num": 4, "num_attention_heads": 32,
    "num_layers": 40, "original_rope": true, "padded_vocab_size": 151552, "post_layer_norm": true,
    "rmsnorm": true, "rope_ratio": 10000, "seq_length": 1048576, "torch_dtype": "bfloat16",
    "tie_word_embeddings": false, "eos_token_id": [151329, 151336, 151338]})");
  const ModelConfig config = load(glm);
  CHECK(config.vocab_size == 151552);
  CHECK(config.intermediate_size == 13696);
  CHECK(config.num_layers == 40);
  CHECK(config.num_kv_heads == 4);
  CHECK(config.head_dim == 128);
  CHECK(config.max_position_embeddings == 1048576);
  CHECK(config.rms_norm_eps == 1.5625e-7);
  CHECK(config.qkv_bias);
  CHECK_FALSE(config.output_bias);
  CHECK(config.rope.theta == 1e8);
  CHECK(config.rope.rotary_dim == 64);
  CHECK(config.rope.interleaved);
  CHECK(config.naming == WeightNaming::chatglm);
  json other = glm;
  other["add_bias_linear"] = true;
  CHECK(load_error(other) == "config.json: add_bias_linear is not supported unless it is false");
}

TEST_CASE("config: YaRN extends the positions and scales attention") {
  const ModelConfig config = load(
      with({{"max_position_embeddings", 32768},
            {"rope_scaling",
             {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}}}}));
  CHECK(config.max_position_embeddings == 131072);
  CHECK(config.rope.scaling == RopeConfig::Scaling::yarn);
  CHECK(config.rope.attention_factor == doctest::Approx(1.138629436));
}

TEST_CASE("config: LongRoPE has two sets of factors and a choice by length") {
  const std::vector<double> shorts(64, 1.0), longs(64, 2.0);
  const ModelConfig config = load(
      with({{"original_max_position_embeddings", 4096},
            {"rope_scaling", {{"type", "su"}, {"short_factor", shorts}, {"long_factor", longs}}}}));
  CHECK(config.rope.attention_factor == doctest::Approx(1.1902380714));
  CHECK(first_position(config, 4096) == 131072);
  CHECK(first_position(config, 4097) == 0);
  CHECK(inverse_frequencies(config.rope, 128)[0] == 0.5f);
  CHECK(inverse_frequencies(config.rope, 128, RopeContext::original)[0] == 1.0f);
}

TEST_CASE("config: an inert sliding window is accepted, and Qwen2's counts only where it is used") {
  json qwen = with(
      {{"architectures", {"Qwen2ForCausalLM"}}, {"model_type", "qwen2"}, {"sliding_window", 4096}});
  CHECK(load(qwen).qkv_bias);
  CHECK_FALSE(load(qwen).output_bias);
  qwen["use_sliding_window"] = true;
  CHECK(contains(load_error(qwen), "sliding_window is below max_position_embeddings"));
}

TEST_CASE("config: end-of-turn tokens of tokenizer_config.json are stop ids too") {
  const TempDir dir;
  dir.write("config.json", with({{"eos_token_id", 128001}}).dump());
  dir.write("tokenizer_config.json", R"({"added_tokens_decoder": {
    "128009": {"content": "<|eot_id|>"}, "128006": {"content": "<|start_header_id|>"},
    "999999": {"content": "<|im_end|>"}, "x": {"content": "<|end|>"}, "7": {"content": 7}}})");
  CHECK(load_config(dir.path()).eos_token_ids == std::vector<uint32_t>{128001, 128009});
}

TEST_CASE("config: the stop ids of generation_config.json are added") {
  const TempDir dir;
  dir.write("config.json", with({{"eos_token_id", 5}}).dump());
  dir.write("generation_config.json", R"({"eos_token_id": [7, 5, 9], "temperature": 0.6})");
  CHECK(load_config(dir.path()).eos_token_ids == std::vector<uint32_t>{5, 7, 9});

  dir.write("generation_config.json", R"({"eos_token_id": "7"})");
  CHECK(error_of("invalid_model", [&] { load_config(dir.path()); }) ==
        "generation_config.json: eos_token_id must be token ids below vocab_size");
  dir.write("generation_config.json", "{}");
  CHECK(load_config(dir.path()).eos_token_ids == std::vector<uint32_t>{5});
}

TEST_CASE("config: a required field that is missing is named") {
  for (const std::string field :
       {"architectures", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "max_position_embeddings", "rms_norm_eps"}) {
    CHECK(load_error(without(field)) == "config.json: " + field + " is missing");
    CHECK(load_error(with({{field, nullptr}})) == "config.json: " + field + " is missing");
  }
}

TEST_CASE("config: a field that is mistyped, out of range or unsupported is named") {
  const auto scaled = [](const json& patch) {
    json config = llama_31();
    config["rope_scaling"].update(patch);
    return config;
  };
  const auto scaling = [&](const json& value) { return with({{"rope_scaling", value}}); };
  const struct {
    json config;
    const char* expected;
  } table[] = {
      {with({{"architectures", json::array()}}), "architectures must be a list of one name"},
      {with({{"architectures", "LlamaForCausalLM"}}), "architectures must be a list"},
      {with({{"architectures", {"GPT2LMHeadModel"}}}),
       "\"GPT2LMHeadModel\" is not supported; these are: Llama"},
      {with({{"model_type", "mistral"}}), "model_type \"mistral\" is not supported"},
      {with({{"hidden_act", "gelu"}}), "hidden_act \"gelu\" is not supported"},
      {with({{"hidden_act", 1}}), "hidden_act must be a string"},
      {with({{"torch_dtype", "float8_e4m3fn"}}), "torch_dtype \"float8_e4m3fn\""},
      {with({{"dtype", "int8"}}), "dtype \"int8\" is not supported"},
      {with({{"vocab_size", 0}}), "vocab_size must be an integer from 1"},
      {with({{"vocab_size", "128256"}}), "vocab_size must be an integer"},
      {with({{"vocab_size", 128256.0}}), "vocab_size must be an integer"},
      {with({{"vocab_size", UINT64_MAX}}), "vocab_size must be an integer"},
      {with({{"hidden_size", -4096}}), "hidden_size must be an integer"},
      {with({{"hidden_size", true}}), "hidden_size must be an integer"},
      {with({{"hidden_size", 4097}}), "num_attention_heads must divide hidden_size"},
      {with({{"hidden_size", 1 << 21}}), "hidden_size must be an integer"},
      {with({{"intermediate_size", INT64_MAX}}), "intermediate_size must be an integer"},
      {with({{"num_hidden_layers", 1000000}}), "num_hidden_layers must be an integer"},
      {with({{"num_attention_heads", 0}}), "num_attention_heads must be an integer"},
      {with({{"num_attention_heads", 64}, {"hidden_size", 32}}), "must divide hidden_size"},
      {with({{"num_key_value_heads", 5}}), "num_key_value_heads must divide"},
      {with({{"num_key_value_heads", 64}}), "num_key_value_heads must divide"},
      {with({{"num_key_value_heads", 0}}), "num_key_value_heads must be an integer"},
      {with({{"head_dim", 127}}), "head_dim must be even"},
      {with({{"head_dim", 8192}}), "head_dim must be an integer from 1 to 4096"},
      {with({{"hidden_size", 1 << 18}}), "head_dim must be even and at most 4096"},
      {with({{"head_dim", 4096}, {"num_attention_heads", 16384}}), "num_attention_heads times"},
      {with({{"max_position_embeddings", 4294967296}}), "max_position_embeddings must be"},
      {with({{"rms_norm_eps", 0}}), "rms_norm_eps must be a number"},
      {with({{"rms_norm_eps", "1e-5"}}), "rms_norm_eps must be a number"},
      {with({{"tie_word_embeddings", 1}}), "tie_word_embeddings must be true or false"},
      {with({{"attention_bias", "no"}}), "attention_bias must be true or false"},
      {with({{"mlp_bias", json::array()}}), "mlp_bias must be true or false"},
      {with({{"eos_token_id", -1}}), "eos_token_id must be token ids"},
      {with({{"eos_token_id", 128256}}), "eos_token_id must be token ids"},
      {with({{"eos_token_id", {1, {2}}}}), "eos_token_id must be token ids"},
      {with({{"rope_theta", 0}}), "rope_theta must be a number"},
      {with({{"rope_theta", "big"}}), "rope_theta must be a number"},
      {scaling("llama3"), "rope_scaling must be an object"},
      {scaling(json::object()), "rope_scaling.rope_type is missing"},
      {scaled({{"rope_type", "ntk"}}), "rope_scaling.rope_type \"ntk\" is not supported"},
      {scaling({{"rope_type", "longrope"}, {"short_factor", {1}}}),
       "rope_scaling.long_factor is missing"},
      {scaling({{"rope_type", "longrope"}, {"long_factor", {1, 2}}}),
       "rope_scaling.long_factor must be a list of 64 numbers"},
      {scaling({{"rope_type", "yarn"}, {"factor", 1e6}, {"original_max_position_embeddings", 1e6}}),
       "rope_scaling.original_max_position_embeddings must be"},
      {scaling({{"type", "dynamic"}, {"factor", 2}}), "rope_scaling.type \"dynamic\""},
      {scaling({{"rope_type", "linear"}}), "rope_scaling.factor is missing"},
      {scaled({{"factor", 0.5}}), "rope_scaling.factor must be a number"},
      {scaled({{"low_freq_factor", nullptr}}), "rope_scaling.low_freq_factor is missing"},
      {scaled({{"high_freq_factor", 1.0}}), "rope_scaling.high_freq_factor must be above"},
      {scaled({{"original_max_position_embeddings", 0}}),
       "rope_scaling.original_max_position_embeddings must be"},
      {scaled({{"rope_theta", 1e4}}), "rope_scaling.rope_theta differs from rope_theta"},
      {with({{"rope_parameters", {{"rope_type", "default"}}}}), "rope_scaling contradicts"},
      {with({{"rope_scaling", nullptr}, {"rope_parameters", {{"rope_theta", 5e5}}}}),
       "rope_parameters.rope_type is missing"},
      {with({{"sliding_window", 4096}}), "sliding_window is below max_position_embeddings"},
      {with({{"layer_types", {"sliding_attention"}}}), "layer_types may only hold"},
      {with({{"partial_rotary_factor", 0.01}}), "partial_rotary_factor must leave"},
      {with({{"attn_logit_softcapping", 50.0}}), "attn_logit_softcapping is not supported"},
      {with({{"final_logit_softcapping", 30.0}}), "final_logit_softcapping is not supported"},
      {with({{"quantization_config", {{"bits", 4}}}}), "quantization_config is not supported"},
  };
  for (const auto& damage : table) {
    CAPTURE(damage.expected);
    const std::string message = load_error(damage.config);
    CAPTURE(message);
    CHECK(contains(message, damage.expected));
    CHECK(message.starts_with("config.json: "));
  }
}

TEST_CASE("config: a file that is no sensible JSON is refused") {
  const auto message = [](const std::string& text) {
    const TempDir dir;
    dir.write("config.json", text);
    return error_of("invalid_model", [&] { load_config(dir.path()); });
  };
  CHECK(contains(message(""), "config.json is not valid JSON"));
  CHECK(contains(message("{\"vocab_size\": 1"), "config.json is not valid JSON, at byte 17"));
  CHECK(contains(message("null"), "config.json does not hold a JSON object"));
  CHECK(contains(message("{\"a\":" + std::string(100000, '[')), "nests deeper"));
  CHECK(contains(message("{}" + std::string(2000000, ' ')), "config.json is larger than"));
  CHECK(contains(message(R"({"vocab_size":1,"vocab_size":2})"), "\"vocab_size\" appears twice"));
  CHECK(contains(error_of("invalid_model", [] { load_config("/nonexistent"); }),
                 "cannot read /nonexistent/config.json: No such file"));
}
