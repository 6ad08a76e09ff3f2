#include "cpu/landmarks.h"

#include <algorithm>
#include <cmath>

namespace gnomon::cpu {

namespace {

float dot(const float* a, const float* b, int64_t count) {
  constexpr int kSums = 8;  // independent, so that the compiler may vectorise
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int j = 0; j < kSums; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (; i < count; ++i) sums[0] += a[i] * b[i];
  for (int j = 1; j < kSums; ++j) sums[0] += sums[j];
  return sums[0];
}

}  // namespace

void mean_key(const HeadKeys& keys, int64_t first, int64_t count, float* mean) {
  std::fill_n(mean, keys.head_dim, 0.0f);
  for (int64_t token = first; token < first + count; ++token) {
    const float* key = keys.at(token);
    for (int64_t i = 0; i < keys.head_dim; ++i) mean[i] += key[i];
  }
  const float scale = 1.0f / static_cast<float>(count);
  for (int64_t i = 0; i < keys.head_dim; ++i) mean[i] *= scale;
}

float min_cosine(const HeadKeys& keys, int64_t first, int64_t count, const float* mean) {
  if (count == 1) return 1.0f;    // its own mean, whatever the rounding below says
  constexpr float kTiny = 1e-8f;  // a zero vector has cosine 0 with everything
  const float mean_norm = std::sqrt(dot(mean, mean, keys.head_dim));
  float smallest = 1.0f;
  for (int64_t token = first; token < first + count; ++token) {
    const float* key = keys.at(token);
    const float norms = mean_norm * std::sqrt(dot(key, key, keys.head_dim));
    smallest = std::min(smallest, dot(mean, key, keys.head_dim) / std::max(norms, kTiny));
  }
  return smallest;
}

void store_landmark(const float* landmark, int64_t head_dim, int64_t index, float* blocks) {
  float* block = blocks + index / kLandmarkBlock * head_dim * kLandmarkBlock;
  for (int64_t i = 0; i < head_dim; ++i) {
    block[i * kLandmarkBlock + index % kLandmarkBlock] = landmark[i];
  }
}

}  // namespace gnomon::cpu
