#pragma once
#include <cstdint>
#include <vector>

#include "engine/config.h"

namespace gnomon::cpu {

/// Cosines and sines of every position used so far. Grows on demand, on the backend's thread.
class RopeTable {
 public:
  explicit RopeTable(const ModelConfig& config);

  /// Makes positions [0, count) available; pointers from before may move.
  void reserve(int64_t count);
  /// (head_dim / 2) cosines, then (head_dim / 2) sines.
  const float* at(int64_t position) const { return values_.data() + position * 2 * half_; }
  int64_t half() const { return half_; }

 private:
  int64_t half_;
  std::vector<float> inverse_frequency_;  // (head_dim / 2)
  std::vector<float> values_;             // (positions, 2, head_dim / 2)
};

/// Rotates one head in place, halves paired as (i, i + head_dim / 2) like Llama.
inline void rotate(float* head, const float* cos_sin, int64_t half) {
  const float* cosine = cos_sin;
  const float* sine = cos_sin + half;
  for (int64_t i = 0; i < half; ++i) {
    const float a = head[i], b = head[i + half];
    head[i] = a * cosine[i] - b * sine[i];
    head[i + half] = b * cosine[i] + a * sine[i];
  }
}

}  // namespace gnomon::cpu
