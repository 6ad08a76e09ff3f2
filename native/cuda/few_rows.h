#pragma once
#include <cuda_runtime.h>

#include "cuda/linear.h"

namespace gnomon::cuda {

/// Products of so few rows are bound by reading the weights.
inline constexpr int64_t kFewRows = 32;

/// A product of 1 to kFewRows rows whose inputs are a multiple of 8. A row's result does not depend
/// on the rows around it.
void multiply_few_rows(const Product& product, cudaStream_t stream);

}  // namespace gnomon::cuda
