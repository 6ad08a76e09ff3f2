#pragma once
#include <cuda_runtime.h>

#include "cuda/head_view.h"
#include "cuda/rope.h"

namespace gnomon::cuda {

/// Rebuilds the keys of every missed chunk in its slot: rows of the factor times the head's basis,
/// rotated at their original positions in fp32. rank is a multiple of 8, at most 256.
void reconstruct_keys(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
                      const RopeTables& rope, cudaStream_t stream);

}  // namespace gnomon::cuda
