#pragma once
#include <cuda_runtime.h>

#include "cuda/head_view.h"

namespace gnomon::cuda {

/// Copies the values of every missed chunk into its slot over the bus, from pinned host memory; of
/// heads that read their values in place, nothing. By the copy engines of the multiprocessors where
/// the device has them (sm_90), by loads elsewhere.
void gather_values(const DecodeShape& shape, const HeadView* heads, const Selection& selection,
                   cudaStream_t stream);

/// The two ways, of which gather_values takes one. The first needs sm_90.
void gather_values_in_bulk(const DecodeShape& shape, const HeadView* heads,
                           const Selection& selection, cudaStream_t stream);
void gather_values_by_loads(const DecodeShape& shape, const HeadView* heads,
                            const Selection& selection, cudaStream_t stream);

}  // namespace gnomon::cuda
