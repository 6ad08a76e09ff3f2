#pragma once
#include <cublasLt.h>
#include <cuda_runtime.h>

#include <compare>
#include <cstdint>
#include <map>
#include <tuple>

#include "cuda/element.h"

namespace gnomon::cuda {

/// y (rows, outputs) = x (rows, inputs) weight^T + bias, sums in fp32.
struct Product {
  const Element* x;       // (rows, inputs)
  const Element* weight;  // (outputs, inputs)
  const Element* bias;    // (outputs) or null
  void* y;                // (rows, outputs), elements or fp32
  int64_t rows;
  int64_t inputs;
  int64_t outputs;
  bool accumulate;  // y += instead of y =
  bool fp32_out;
};

/// Matrix products by cuBLASLt; the algorithm of every shape is looked up once.
class Linear {
 public:
  explicit Linear(size_t workspace_bytes);
  ~Linear();
  Linear(const Linear&) = delete;
  Linear& operator=(const Linear&) = delete;

  void run(const Product& product, cudaStream_t stream);

  /// out (width, width) fp32 = x^T x for x (rows, width); symmetric.
  void gram(const Element* x, int64_t rows, int64_t width, float* out, cudaStream_t stream);

 private:
  struct Plan;
  struct Kind {
    bool fp32_out, has_bias, is_gram;
    auto operator<=>(const Kind&) const = default;
  };
  using Key = std::tuple<int64_t, int64_t, int64_t, Kind>;
  const Plan& plan(const Key& key);

  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  size_t workspace_bytes_;
  std::map<Key, Plan*> plans_;
};

}  // namespace gnomon::cuda
