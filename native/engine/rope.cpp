#include <cmath>
#include <numbers>

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

}  // namespace

std::vector<float> inverse_frequencies(const RopeConfig& rope, int64_t head_dim) {
  const auto theta = static_cast<float>(rope.theta);
  std::vector<float> out(head_dim / 2);
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    out[i] = 1.0f / std::pow(theta, exponent);
    switch (rope.scaling) {
      case RopeConfig::Scaling::none:
        break;
      case RopeConfig::Scaling::linear:
        out[i] /= static_cast<float>(rope.factor);
        break;
      case RopeConfig::Scaling::llama3:
        out[i] = scale_llama3(out[i], rope);
        break;
    }
  }
  return out;
}

}  // namespace gnomon
