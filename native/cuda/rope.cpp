#include "cuda/rope.h"

#include <cmath>

namespace gnomon::cuda {

std::vector<float2> make_rope_tables(const ModelConfig& config) {
  const std::vector<float> frequencies = inverse_frequencies(config.rope, config.head_dim);
  std::vector<float2> tables;
  const auto append = [&](int64_t position) {
    for (const float frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      tables.push_back({static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
    }
  };
  for (int64_t a = 0; a * 256 < config.max_position_embeddings; ++a) append(a * 256);
  for (int64_t b = 0; b < 256; ++b) append(b);
  return tables;
}

}  // namespace gnomon::cuda
