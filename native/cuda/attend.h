#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace gnomon::cuda {

/// What one KV head of one sequence attends to in one layer: `exact_tokens` contiguous rows, then
/// `num_chunks` chunks of the slot pool. Rows are head_dim bf16. In device memory, one per
/// (sequence, KV head).
struct AttendSource {
  const __nv_bfloat16* exact_keys;    // (exact_tokens, head_dim)
  const __nv_bfloat16* exact_values;  // (exact_tokens, head_dim)
  const __nv_bfloat16* slot_keys;     // (num_slots, chunk_size, head_dim)
  const __nv_bfloat16* slot_values;   // (num_slots, chunk_size, head_dim)
  const int32_t* slots;               // (num_chunks)
  int32_t exact_tokens;
  int32_t num_chunks;
};

struct AttendShape {
  int32_t batch;
  int32_t num_heads;
  int32_t num_kv_heads;
  int32_t head_dim;
  int32_t chunk_size;
  int32_t max_tokens;  // no source is longer
};

/// Scratch that attend needs for its partial results.
size_t attend_scratch_bytes(const AttendShape& shape);

/// out (batch, num_heads * head_dim) = softmax(query keys^T / sqrt(head_dim)) values, for one query
/// row a sequence. A sequence's result does not depend on the batch around it.
void attend(const AttendShape& shape, const AttendSource* sources, const __nv_bfloat16* query,
            __nv_bfloat16* out, void* scratch, cudaStream_t stream);

}  // namespace gnomon::cuda
