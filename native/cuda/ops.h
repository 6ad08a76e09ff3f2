#pragma once
// Token-wise operations and the bookkeeping of caches. Matrices are row-major bf16; every launcher
// returns at once and works on `stream`. Row widths are multiples of 8 elements (16 bytes).

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/head_view.h"
#include "cuda/rope.h"

namespace gnomon::cuda {

/// out (count, hidden_size) = table[tokens]
void embed(const uint32_t* tokens, int64_t count, const __nv_bfloat16* table, int64_t hidden_size,
           __nv_bfloat16* out, cudaStream_t stream);

/// out (rows, width) = x / sqrt(mean(x^2) + eps) * gain, in fp32
void rms_norm(const __nv_bfloat16* x, const __nv_bfloat16* gain, float eps, int64_t rows,
              int64_t width, __nv_bfloat16* out, cudaStream_t stream);

/// out (rows, width) = silu(gate_up[:, :width]) * gate_up[:, width:]
void silu_multiply(const __nv_bfloat16* gate_up, int64_t rows, int64_t width, __nv_bfloat16* out,
                   cudaStream_t stream);

/// In place on qkv (rows, (num_heads + 2 num_kv_heads) * head_dim): each query and key head becomes
/// x / sqrt(mean(x^2) + eps) * gain (head_dim), in fp32
void norm_heads(__nv_bfloat16* qkv, const __nv_bfloat16* query_gain, const __nv_bfloat16* key_gain,
                float eps, int64_t rows, int32_t num_heads, int32_t num_kv_heads, int32_t head_dim,
                cudaStream_t stream);

/// Outputs of split_and_rotate; key_pre_rope may be null.
struct QkvParts {
  __nv_bfloat16* query;         // (rows, num_heads * head_dim)
  __nv_bfloat16* key_pre_rope;  // (rows, num_kv_heads * head_dim)
  __nv_bfloat16* key;           // (rows, num_kv_heads * head_dim)
  __nv_bfloat16* value;         // (rows, num_kv_heads * head_dim)
};

/// qkv (rows, (num_heads + 2 num_kv_heads) * head_dim), rotated in fp32 at positions (rows), or at
/// first_position + row where positions is null.
void split_and_rotate(const __nv_bfloat16* qkv, const int32_t* positions, int32_t first_position,
                      int64_t rows, int32_t num_heads, int32_t num_kv_heads, const RopeTables& rope,
                      const QkvParts& parts, cudaStream_t stream);

/// Row i of key and value (batch, num_kv_heads * head_dim) joins the exact tokens of sequence i.
void append(const DecodeShape& shape, const HeadView* heads, const int32_t* generated,
            const __nv_bfloat16* key, const __nv_bfloat16* value, cudaStream_t stream);

/// tokens (rows) = first index of the largest of logits (rows, vocab_size)
void arg_max(const float* logits, int64_t rows, int64_t vocab_size, uint32_t* tokens,
             cudaStream_t stream);

}  // namespace gnomon::cuda
