#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/element.h"

namespace gnomon::cuda {

/// query (count) becomes *inertia parts `before` (count) and sqrt(1 - *inertia^2) parts itself, and
/// is kept in `before`: a query stream of known locality, for benchmarks on random weights.
void steer_queries(const float* inertia, Element* before, Element* query, int64_t count,
                   cudaStream_t stream);

}  // namespace gnomon::cuda
