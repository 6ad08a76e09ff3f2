#include "cpu/rope_table.h"

#include <cmath>

namespace gnomon::cpu {

RopeTable::RopeTable(const ModelConfig& config)
    : half_(config.head_dim / 2),
      original_start_(original_context_start(config)),
      scale_(rotation_scales(config.rope, config.head_dim)),
      full_{inverse_frequencies(config.rope, config.head_dim, RopeContext::full), {}},
      original_{inverse_frequencies(config.rope, config.head_dim, RopeContext::original), {}} {}

void RopeTable::reserve(int64_t position) {
  if (position < original_start_) {
    grow(full_, position + 1);
  } else {
    grow(original_, position - original_start_ + 1);
  }
}

void RopeTable::grow(Context& context, int64_t count) const {
  const int64_t have = static_cast<int64_t>(context.values.size()) / (2 * half_);
  if (count <= have) return;
  context.values.resize(count * 2 * half_);
  for (int64_t position = have; position < count; ++position) {
    float* cosine = context.values.data() + position * 2 * half_;
    for (int64_t i = 0; i < half_; ++i) {
      const float angle = static_cast<float>(position) * context.inverse_frequency[i];
      cosine[i] = std::cos(angle) * scale_[i];
      cosine[half_ + i] = std::sin(angle) * scale_[i];
    }
  }
}

}  // namespace gnomon::cpu
