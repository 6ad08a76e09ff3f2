#include "engine/rope_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

namespace gnomon {

namespace {

constexpr double kMaxTheta = 1e15;
constexpr double kMaxFactor = 1e6;
constexpr int64_t kMaxPositions = int64_t{1} << 30;

using Scaling = RopeConfig::Scaling;

double original_positions(const JsonFields& from, double absent) {
  const char* name = "original_max_position_embeddings";
  return from.find(name) ? static_cast<double>(from.integer(name, 1, kMaxPositions)) : absent;
}

void read_llama3(const JsonFields& from, RopeConfig& rope) {
  rope.factor = from.number("factor", 1.0, kMaxFactor);
  rope.low_freq_factor = from.number("low_freq_factor", 1e-6, kMaxFactor);
  rope.high_freq_factor = from.number("high_freq_factor", 1e-6, kMaxFactor);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    from.fail("high_freq_factor", "must be above low_freq_factor");
  }
  rope.original_max_position_embeddings =
      static_cast<double>(from.integer("original_max_position_embeddings", 1, kMaxPositions));
}

/// Of YaRN: how much sharper attention gets with the factor.
double magnitude(double factor, double by) { return 1 + 0.1 * by * std::log(factor); }

void read_yarn(const JsonFields& from, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  rope.factor = from.number("factor", 1.0, kMaxFactor);
  rope.original_max_position_embeddings =
      original_positions(from, static_cast<double>(config.max_position_embeddings));
  rope.beta_fast = from.number_or("beta_fast", 32, 1e-6, kMaxFactor);
  rope.beta_slow = from.number_or("beta_slow", 1, 1e-6, kMaxFactor);
  rope.truncate = from.flag_or("truncate", true);
  const double mscale = from.number_or("mscale", 0, 0, kMaxFactor);
  const double mscale_all = from.number_or("mscale_all_dim", 0, 0, kMaxFactor);
  const double by_default = mscale > 0 && mscale_all > 0 ? magnitude(rope.factor, mscale) /
                                                               magnitude(rope.factor, mscale_all)
                                                         : magnitude(rope.factor, 1);
  rope.attention_factor = from.number_or("attention_factor", by_default, 1e-6, kMaxFactor);
  // Qwen2's files keep the length it was trained with here, and let the factor extend it.
  const double extended = rope.original_max_position_embeddings * rope.factor;
  if (extended > static_cast<double>(kMaxPositions)) from.fail("factor", "extends too far");
  config.max_position_embeddings =
      std::max(config.max_position_embeddings, static_cast<int64_t>(extended));
}

std::vector<double> read_factors(const JsonFields& from, const std::string& name, int64_t count) {
  const auto* list = from.find(name);
  if (!list) from.fail(name, "is missing");
  if (!list->is_array() || static_cast<int64_t>(list->size()) != count) {
    from.fail(name, "must be a list of " + std::to_string(count) + " numbers");
  }
  std::vector<double> factors;
  for (const auto& item : *list) {
    if (!item.is_number() || !(item.get<double>() >= 1e-6 && item.get<double>() <= kMaxFactor)) {
      from.fail(name, "must hold positive numbers");
    }
    factors.push_back(item.get<double>());
  }
  return factors;
}

void read_longrope(const JsonFields& fields, const JsonFields& from, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  for (const char* name : {"short_mscale", "long_mscale"}) {
    if (from.find(name)) from.fail(name, "is not supported");
  }
  const auto positions = static_cast<double>(config.max_position_embeddings);
  // Phi-3 has it beside rope_scaling.
  rope.original_max_position_embeddings =
      original_positions(from, original_positions(fields, positions));
  rope.factor = from.number_or(
      "factor", std::max(1.0, positions / rope.original_max_position_embeddings), 1.0, kMaxFactor);
  const double original = rope.original_max_position_embeddings;
  const double by_default = rope.factor > 1 && original > 1
                                ? std::sqrt(1 + std::log(rope.factor) / std::log(original))
                                : 1.0;
  rope.attention_factor = from.number_or("attention_factor", by_default, 1e-6, kMaxFactor);
  const int64_t pairs = rope.rotated_dims(config.head_dim) / 2;
  rope.long_factors = read_factors(from, "long_factor", pairs);
  rope.short_factors = read_factors(from, "short_factor", pairs);
}

Scaling read_scaling(const JsonFields& from) {
  const std::string name = from.find("type") && !from.find("rope_type") ? "type" : "rope_type";
  const std::string type = from.text(name);
  if (type == "default") return Scaling::none;
  if (type == "linear") return Scaling::linear;
  if (type == "llama3") return Scaling::llama3;
  if (type == "yarn") return Scaling::yarn;
  if (type == "longrope" || type == "su") return Scaling::longrope;  // "su": Phi-3 of April 2024
  from.fail(name, "\"" + printable(type) +
                      "\" is not supported; default, linear, llama3, yarn and longrope are");
}

void read_partial(const JsonFields& fields, const std::optional<JsonFields>& parameters,
                  const Architecture& architecture, ModelConfig& config) {
  const char* name = "partial_rotary_factor";
  double factor = fields.number_or(name, architecture.partial_rotary_factor, 0.0, 1.0);
  if (parameters) factor = parameters->number_or(name, factor, 0.0, 1.0);
  const auto dims = static_cast<int64_t>(static_cast<double>(config.head_dim) * factor);
  if (dims < 2 || dims % 2 != 0) fields.fail(name, "must leave an even number of dimensions");
  config.rope.rotary_dim = dims == config.head_dim ? 0 : dims;
  config.rope.interleaved = architecture.interleaved_rope;
}

}  // namespace

/// Transformers 4 writes `rope_theta` beside `rope_scaling` {rope_type, or type in older files};
/// Transformers 5 writes `rope_parameters` {rope_type, rope_theta}.
void read_rope(const JsonFields& fields, const Architecture& architecture, ModelConfig& config) {
  const auto parameters = fields.object("rope_parameters");
  const auto scaling = fields.object("rope_scaling");
  if (parameters && scaling) fields.fail("rope_scaling", "contradicts rope_parameters");
  const auto& given = parameters ? parameters : scaling;

  RopeConfig& rope = config.rope;
  read_partial(fields, given, architecture, config);
  rope.theta = fields.number_or("rope_theta", rope.theta, 1.0 + 1e-6, kMaxTheta);
  if (architecture.naming == WeightNaming::chatglm) {
    rope.theta *= fields.number_or("rope_ratio", 1.0, 1e-3, kMaxTheta / 1e4);
  }
  if (!given) return;

  const JsonFields& from = *given;
  const double theta = from.number_or("rope_theta", rope.theta, 1.0 + 1e-6, kMaxTheta);
  if (fields.find("rope_theta") && theta != rope.theta) {
    from.fail("rope_theta", "differs from rope_theta");
  }
  rope.theta = theta;
  rope.scaling = read_scaling(from);
  switch (rope.scaling) {
    case Scaling::none:
      return;
    case Scaling::linear:
      rope.factor = from.number("factor", 1.0, kMaxFactor);
      return;
    case Scaling::llama3:
      return read_llama3(from, rope);
    case Scaling::yarn:
      return read_yarn(from, config);
    case Scaling::longrope:
      return read_longrope(fields, from, config);
  }
}

}  // namespace gnomon
