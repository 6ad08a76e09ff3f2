#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gnomon {

enum class DType { f32, f16, bf16 };

inline size_t dtype_bytes(DType dtype) { return dtype == DType::f32 ? 4 : 2; }

/// A tensor of a model file, in host memory that the loader keeps mapped. Row-major.
struct HostTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;
};

/// A row-major activation matrix in backend memory, not owned. The element type is the
/// backend's own (Backend::element_bytes); code outside a backend never reads the elements.
struct Matrix {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
};

}  // namespace gnomon
