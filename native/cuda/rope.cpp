#include "cuda/rope.h"

#include <algorithm>
#include <cmath>

namespace gnomon::cuda {

namespace {

constexpr int64_t kFine = 256;

struct CoarseRows {
  int64_t full;
  int64_t original;  // 0 where the model has one set of frequencies
};

CoarseRows coarse_rows(const ModelConfig& config) {
  const auto rows = [](int64_t positions) { return (positions + kFine - 1) / kFine; };
  const auto& rope = config.rope;
  const bool two_sets = rope.scaling == RopeConfig::Scaling::longrope;
  return {rows(config.max_position_embeddings),
          two_sets ? rows(static_cast<int64_t>(rope.original_max_position_embeddings)) : 0};
}

}  // namespace

std::vector<float2> make_rope_tables(const ModelConfig& config) {
  const auto full = inverse_frequencies(config.rope, config.head_dim, RopeContext::full);
  const auto original = inverse_frequencies(config.rope, config.head_dim, RopeContext::original);
  const std::vector<float> scales = rotation_scales(config.rope, config.head_dim);
  const std::vector<float> ones(scales.size(), 1.0f);
  std::vector<float2> tables;
  const auto append = [&](const std::vector<float>& frequencies, int64_t position,
                          const std::vector<float>& scale) {
    for (size_t i = 0; i < frequencies.size(); ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      tables.push_back({static_cast<float>(std::cos(angle) * scale[i]),
                        static_cast<float>(std::sin(angle) * scale[i])});
    }
  };
  const CoarseRows rows = coarse_rows(config);
  for (int64_t a = 0; a < rows.full; ++a) append(full, a * kFine, scales);
  for (int64_t a = 0; a < rows.original; ++a) append(original, a * kFine, scales);
  for (int64_t b = 0; b < kFine; ++b) append(full, b, ones);
  for (int64_t b = 0; b < kFine; ++b) append(original, b, ones);
  return tables;
}

RopeTables view_rope_tables(const ModelConfig& config, const float2* tables) {
  const int64_t half = config.head_dim / 2;
  const CoarseRows rows = coarse_rows(config);
  return {tables, tables + (rows.full + rows.original) * half, static_cast<int32_t>(half),
          static_cast<int32_t>(std::min<int64_t>(original_context_start(config), INT32_MAX))};
}

}  // namespace gnomon::cuda
