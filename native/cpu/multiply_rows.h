#pragma once
#include <cstdint>

namespace gnomon::cpu {

/// out[m] (columns) = sum over k < depth of rows[m][k * step] * b[k * columns ...] (columns), for
/// every m < num_rows. Rows may lie anywhere, and `step` lets them be columns of a matrix.
/// A row of the result does not depend on the rows beside it, bit for bit.
struct RowProduct {
  const float* const* rows;  // (num_rows) of (depth), elements `step` apart
  int64_t num_rows;
  int64_t step;
  int64_t depth;
  const float* b;  // (depth, columns), rows b_stride apart
  int64_t b_stride;
  int64_t columns;    // a multiple of 16
  float* const* out;  // (num_rows) of (columns)
};

void multiply_rows(const RowProduct& product);

}  // namespace gnomon::cpu
