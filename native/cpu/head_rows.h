#pragma once
// A row of one head's keys or values: head_dim floats, then zeros up to head_stride. The padding
// spares the vector loops a tail; the usual head dimensions have none.

#include <algorithm>
#include <cstdint>

namespace gnomon::cpu {

constexpr int64_t kRowMultiple = 16;  // floats of the widest vector, AVX-512

inline int64_t whole_vectors(int64_t floats) {
  return (floats + kRowMultiple - 1) / kRowMultiple * kRowMultiple;
}

inline void store_head(const float* source, int64_t head_dim, float* row) {
  std::copy_n(source, head_dim, row);
  std::fill(row + head_dim, row + whole_vectors(head_dim), 0.0f);
}

}  // namespace gnomon::cpu
