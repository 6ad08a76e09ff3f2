#pragma once
#include <cuda_runtime.h>

#include "cuda/head_view.h"
#include "cuda/score_chunks.h"

namespace gnomon::cuda {

/// Picks the num_selected chunks of highest max-over-group softmax probability per KV head (paper,
/// algorithm 2), lower chunk first among equals, and gives every one a slot: a chunk that has one
/// keeps it, others take those longest unused. `spill` is scratch (batch, num_kv_heads,
/// max_chunks). `step` (one int) counts decode steps.
void select_chunks(const DecodeShape& shape, const HeadView* heads, const ChunkScores& scores,
                   const int32_t* step, float* spill, const Selection& selection,
                   cudaStream_t stream);

}  // namespace gnomon::cuda
