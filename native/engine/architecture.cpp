#include "engine/architecture.h"

#include <string>

namespace gnomon {

namespace {

constexpr Architecture kArchitectures[] = {
    {.name = "LlamaForCausalLM",
     .model_type = "llama",
     .qkv_bias = Bias::as_configured,
     .output_bias = Bias::as_configured},
    {.name = "MistralForCausalLM",
     .model_type = "mistral",
     .qkv_bias = Bias::never,
     .output_bias = Bias::never},
    {.name = "Qwen2ForCausalLM",
     .model_type = "qwen2",
     .qkv_bias = Bias::always,
     .output_bias = Bias::never,
     .window_by_default = false},
    {.name = "Qwen3ForCausalLM",
     .model_type = "qwen3",
     .qkv_bias = Bias::as_configured,
     .output_bias = Bias::as_configured,
     .qk_norm = true,
     .window_by_default = false,
     .head_dim = 128},
    {.name = "Phi3ForCausalLM",
     .model_type = "phi3",
     .qkv_bias = Bias::never,
     .output_bias = Bias::never},
    {.name = "GlmForCausalLM",
     .model_type = "glm",
     .qkv_bias = Bias::as_configured,
     .output_bias = Bias::never,
     .partial_rotary_factor = 0.5,
     .interleaved_rope = true,
     .head_dim = 128},
    {.name = "ChatGLMModel",
     .model_type = "chatglm",
     .qkv_bias = Bias::as_configured,
     .output_bias = Bias::never,
     .partial_rotary_factor = 0.5,
     .interleaved_rope = true,
     .naming = WeightNaming::chatglm},
    {.name = "ChatGLMForConditionalGeneration",
     .model_type = "chatglm",
     .qkv_bias = Bias::as_configured,
     .output_bias = Bias::never,
     .partial_rotary_factor = 0.5,
     .interleaved_rope = true,
     .naming = WeightNaming::chatglm},
};

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

std::vector<std::string> supported_architectures() {
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) names.push_back(architecture.name);
  return names;
}

const Architecture& find_architecture(const JsonFields& fields) {
  const auto* value = fields.find("architectures");
  if (!value) fields.fail("architectures", "is missing");
  if (!value->is_array() || value->size() != 1 || !value->front().is_string()) {
    fields.fail("architectures", "must be a list of one name");
  }
  const auto name = value->front().get<std::string>();
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (name == architecture.name) return architecture;
    if (!known.empty()) known += ", ";
    known += architecture.name;
  }
  std::string reason = "\"";
  reason += printable(name) + "\" is not supported; these are: " + known;
  fields.fail("architectures", reason);
}

}  // namespace gnomon
