#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace gnomon::cuda {

/// query (count) becomes *inertia parts `before` (count) and sqrt(1 - *inertia^2) parts itself, and
/// is kept in `before`: a query stream of known locality, for benchmarks on random weights.
void steer_queries(const float* inertia, __nv_bfloat16* before, __nv_bfloat16* query, int64_t count,
                   cudaStream_t stream);

}  // namespace gnomon::cuda
