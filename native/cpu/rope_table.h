#pragma once
#include <cstdint>
#include <vector>

#include "engine/config.h"

namespace gnomon::cpu {

/// Cosines and sines of every position used so far. Grows on demand, on the backend's thread.
class RopeTable {
 public:
  explicit RopeTable(const ModelConfig& config);

  /// Makes every position up to this one, within its context, available; pointers from before may
  /// move.
  void reserve(int64_t position);
  /// (head_dim / 2) cosines, then (head_dim / 2) sines, scaled.
  const float* at(int64_t position) const {
    return position < original_start_ ? full_.at(position, half_)
                                      : original_.at(position - original_start_, half_);
  }
  int64_t half() const { return half_; }

 private:
  struct Context {
    std::vector<float> inverse_frequency;  // (head_dim / 2)
    std::vector<float> values;             // (positions, 2, head_dim / 2)

    const float* at(int64_t position, int64_t half) const {
      return values.data() + position * 2 * half;
    }
  };
  void grow(Context& context, int64_t count) const;

  int64_t half_;
  int64_t original_start_;
  std::vector<float> scale_;  // (head_dim / 2)
  Context full_;
  Context original_;
};

/// Rotates one head in place, halves paired as (i, i + head_dim / 2).
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
