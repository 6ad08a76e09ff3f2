#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/head_view.h"
#include "cuda/rope.h"

namespace gnomon::cuda {

/// Largest rank that the current device has room for in its shared memory.
int64_t most_rank(int64_t head_dim);

/// Rebuilds the keys of every missed chunk in its slot: rows of the factor times the head's basis,
/// rotated at their original positions in fp32. rank is a multiple of 8, at most most_rank.
void reconstruct_keys(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
                      const RopeTables& rope, cudaStream_t stream);

}  // namespace gnomon::cuda
