#include "cpu/rope_table.h"

#include <cmath>

namespace gnomon::cpu {

RopeTable::RopeTable(const ModelConfig& config)
    : half_(config.head_dim / 2),
      inverse_frequency_(inverse_frequencies(config.rope, config.head_dim)) {}

void RopeTable::reserve(int64_t count) {
  const int64_t have = static_cast<int64_t>(values_.size()) / (2 * half_);
  if (count <= have) return;
  values_.resize(count * 2 * half_);
  for (int64_t position = have; position < count; ++position) {
    float* cosine = values_.data() + position * 2 * half_;
    for (int64_t i = 0; i < half_; ++i) {
      const float angle = static_cast<float>(position) * inverse_frequency_[i];
      cosine[i] = std::cos(angle);
      cosine[half_ + i] = std::sin(angle);
    }
  }
}

}  // namespace gnomon::cpu
