#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>

#include "engine/config.h"

namespace gnomon {

namespace {

/// Keeps short wavelengths, stretches those beyond the original context by `factor`, and goes
/// smoothly from one to the other in between (Llama 3.1; Transformers _compute_llama3_parameters).
float scale_llama3(float frequency, const RopeConfig& rope) {
  const auto factor = static_cast<float>(rope.factor);
  const auto original = static_cast<float>(rope.original_max_position_embeddings);
  const auto low = static_cast<float>(rope.low_freq_factor);
  const auto high = static_cast<float>(rope.high_freq_factor);
  const float wavelength = 2.0f * std::numbers::pi_v<float> / frequency;
  if (wavelength > original / low) return frequency / factor;
  if (wavelength < original / high) return frequency;
  const float smooth = (original / wavelength - low) / (high - low);
  return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

/// Likewise, but blends by the index of the pair, between those that turn beta_fast and beta_slow
/// times in the original context (YaRN; Transformers _compute_yarn_parameters).
void scale_yarn(const RopeConfig& rope, int64_t dims, std::span<float> frequencies) {
  const auto index_of = [&](double turns) {
    return static_cast<double>(dims) *
           std::log(rope.original_max_position_embeddings / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = index_of(rope.beta_fast), high = index_of(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dims - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const auto ramp =
        static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
    const float kept = 1.0f - ramp;
    frequencies[i] =
        frequencies[i] / static_cast<float>(rope.factor) * (1.0f - kept) + frequencies[i] * kept;
  }
}

void scale(const RopeConfig& rope, int64_t dims, RopeContext context,
           std::span<float> frequencies) {
  switch (rope.scaling) {
    case RopeConfig::Scaling::none:
      return;
    case RopeConfig::Scaling::linear:
      for (float& frequency : frequencies) frequency /= static_cast<float>(rope.factor);
      return;
    case RopeConfig::Scaling::llama3:
      for (float& frequency : frequencies) frequency = scale_llama3(frequency, rope);
      return;
    case RopeConfig::Scaling::yarn:
      return scale_yarn(rope, dims, frequencies);
    case RopeConfig::Scaling::longrope:
      const auto& factors = context == RopeContext::full ? rope.long_factors : rope.short_factors;
      for (size_t i = 0; i < frequencies.size(); ++i) {
        frequencies[i] /= static_cast<float>(factors[i]);
      }
      return;
  }
}

}  // namespace

std::vector<float> inverse_frequencies(const RopeConfig& rope, int64_t head_dim,
                                       RopeContext context) {
  const auto theta = static_cast<float>(rope.theta);
  const int64_t dims = rope.rotated_dims(head_dim);
  std::vector<float> out(head_dim / 2, 0.0f);
  for (int64_t i = 0; i < dims / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dims);
    out[i] = 1.0f / std::pow(theta, exponent);
  }
  scale(rope, dims, context, std::span(out).first(dims / 2));
  return out;
}

std::vector<float> rotation_scales(const RopeConfig& rope, int64_t head_dim) {
  std::vector<float> out(head_dim / 2, 1.0f);
  std::fill_n(out.begin(), rope.rotated_dims(head_dim) / 2,
              static_cast<float>(rope.attention_factor));
  return out;
}

int64_t original_context_start(const ModelConfig& config) {
  constexpr int64_t kRow = 256;
  if (config.rope.scaling != RopeConfig::Scaling::longrope) {
    return std::numeric_limits<int64_t>::max();
  }
  return (config.max_position_embeddings + kRow - 1) / kRow * kRow;
}

int64_t first_position(const ModelConfig& config, int64_t tokens) {
  const bool within = config.rope.scaling == RopeConfig::Scaling::longrope &&
                      static_cast<double>(tokens) <= config.rope.original_max_position_embeddings;
  return within ? original_context_start(config) : 0;
}

}  // namespace gnomon
