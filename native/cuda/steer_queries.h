#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/element.h"

namespace gnomon::cuda {

/// query (count) becomes *inertia parts `before` (count) and sqrt(1 - *inertia^2) parts itself with
/// random signs, which no step shares with another, and is kept in `before`: a query stream of
/// known locality, for benchmarks on random weights. The signs are there because such a model soon
/// repeats itself, and its own queries with it. `step` (one int) counts decode steps.
void steer_queries(const float* inertia, const int32_t* step, Element* before, Element* query,
                   int64_t count, cudaStream_t stream);

}  // namespace gnomon::cuda
