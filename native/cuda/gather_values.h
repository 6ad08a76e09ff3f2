#pragma once
#include <cuda_runtime.h>

#include "cuda/head_view.h"

namespace gnomon::cuda {

/// Copies the values of every missed chunk into its slot, from device memory or over the bus from
/// pinned host memory.
void gather_values(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
                   cudaStream_t stream);

}  // namespace gnomon::cuda
