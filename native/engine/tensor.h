#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace gnomon {

enum class DType { f32, f16, bf16 };

inline size_t dtype_bytes(DType dtype) { return dtype == DType::f32 ? 4 : 2; }

/// A tensor of a model file, in host memory. Row-major.
struct HostTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
  /// Keeps data and file for as long as a copy of this tensor is around. Empty: others keep them.
  std::shared_ptr<const void> owner = {};
  /// An open file that holds the same bytes from `offset` on; -1: none does.
  int file = -1;
  int64_t offset = 0;

  int64_t count() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
};

/// A row-major activation matrix in backend memory, not owned. The element type is the
/// backend's own (Backend::element_bytes); code outside a backend never reads the elements.
struct Matrix {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
};

}  // namespace gnomon
