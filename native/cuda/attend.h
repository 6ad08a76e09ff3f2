#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/element.h"
#include "cuda/head_view.h"

namespace gnomon::cuda {

/// What the query heads of a batch attend to. Per (sequence, KV head): `exact_tokens` rows of the
/// HeadView, `extra_tokens[sequence]` more behind them, then the selected chunks.
struct AttendSources {
  const HeadView* heads;        // (batch, num_kv_heads)
  const int32_t* extra_tokens;  // (batch), or null: none
  const int32_t* slots;         // (batch, num_kv_heads, max_selected), or null: none are selected
  int64_t exact_stride;         // elements from one exact row to the next
};

/// Scratch that attend needs for its partial results.
size_t attend_scratch_bytes(const DecodeShape& shape);

/// out (batch, num_heads * head_dim) = softmax(query keys^T / sqrt(head_dim)) values, for one query
/// row a sequence. A sequence's result does not depend on the batch around it. The chunk size is a
/// power of two of at least 8. `done` (batch, num_kv_heads) is 0 before and afterwards.
void attend(const DecodeShape& shape, const AttendSources& sources, const Element* query,
            Element* out, void* scratch, int32_t* done, cudaStream_t stream);

}  // namespace gnomon::cuda
