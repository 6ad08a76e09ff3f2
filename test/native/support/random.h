#pragma once
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "engine/tensor.h"

namespace gnomon::test {

/// Normally distributed, the same for the same seed.
inline std::vector<float> random_floats(int64_t count, uint64_t seed, float deviation = 1.0f) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

/// What an output holds before an operation writes it: an element left out stays NaN.
inline std::vector<float> poison(int64_t count) {
  return std::vector<float>(count, std::numeric_limits<float>::quiet_NaN());
}

inline Matrix matrix(std::vector<float>& values, int64_t rows, int64_t cols) {
  return {values.data(), rows, cols};
}

inline HostTensor host_tensor(const std::vector<float>& values, std::vector<int64_t> shape) {
  return {"tensor", DType::f32, std::move(shape),
          reinterpret_cast<const std::byte*>(values.data())};
}

}  // namespace gnomon::test
