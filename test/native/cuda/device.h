#pragma once
// Between host vectors and device memory, for the CUDA tests.

#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "cuda/element.h"
#include "cuda/memory.h"

namespace gnomon::test {

inline bool has_gpu() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}

/// A vector in device memory.
template <typename T>
class DeviceVector {
 public:
  explicit DeviceVector(const std::vector<T>& values)
      : size_(values.size()), block_(size_ * sizeof(T)) {
    CUDA_CHECK(cudaMemcpy(data(), values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  /// Poisoned: every byte 0xff, which is NaN as element and fp32.
  explicit DeviceVector(size_t size) : size_(size), block_(size * sizeof(T)) {
    CUDA_CHECK(cudaMemset(data(), 0xff, size_ * sizeof(T)));
  }
  T* data() const { return block_.template as<T>(); }
  std::vector<T> read() const {
    std::vector<T> values(size_);
    CUDA_CHECK(cudaMemcpy(values.data(), data(), size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  size_t size_;
  cuda::DeviceBlock block_;
};

inline std::vector<cuda::Element> random_elements(size_t count, uint64_t seed, float scale = 1.0f) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<cuda::Element> values(count);
  for (auto& value : values) value = cuda::to_element(normal(random));
  return values;
}

/// Whichever suits what the backend computes in.
constexpr double tolerance(double bf16, double fp32) {
  return cuda::kElementDType == DType::bf16 ? bf16 : fp32;
}

inline double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace gnomon::test

/// Ends the test case, visibly, where there is no GPU.
#define NEEDS_GPU()                          \
  if (!gnomon::test::has_gpu()) {            \
    MESSAGE("skipped: no CUDA device here"); \
    return;                                  \
  }
