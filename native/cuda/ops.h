#pragma once
// Token-wise operations and the bookkeeping of caches. Matrices are row-major; every launcher
// returns at once and works on `stream`. Row widths are multiples of 8 elements.

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/element.h"
#include "cuda/head_view.h"
#include "cuda/rope.h"

namespace gnomon::cuda {

/// out (count, hidden_size) = table[tokens]
void embed(const uint32_t* tokens, int64_t count, const Element* table, int64_t hidden_size,
           Element* out, cudaStream_t stream);

/// out (rows, width) = x / sqrt(mean(x^2) + eps) * gain, in fp32
void rms_norm(const Element* x, const Element* gain, float eps, int64_t rows, int64_t width,
              Element* out, cudaStream_t stream);

/// out (rows, width) = silu(gate_up[:, :width]) * gate_up[:, width:]
void silu_multiply(const Element* gate_up, int64_t rows, int64_t width, Element* out,
                   cudaStream_t stream);

/// In place on qkv (rows, (num_heads + 2 num_kv_heads) * head_dim): each query and key head becomes
/// x / sqrt(mean(x^2) + eps) * gain (head_dim), in fp32
void norm_heads(Element* qkv, const Element* query_gain, const Element* key_gain, float eps,
                int64_t rows, int32_t num_heads, int32_t num_kv_heads, int32_t head_dim,
                cudaStream_t stream);

/// Outputs of split_and_rotate; key_pre_rope may be null.
struct QkvParts {
  Element* query;         // (rows, num_heads * head_dim)
  Element* key_pre_rope;  // (rows, num_kv_heads * head_dim)
  Element* key;           // (rows, num_kv_heads * head_dim)
  Element* value;         // (rows, num_kv_heads * head_dim)
};

/// qkv (rows, (num_heads + 2 num_kv_heads) * head_dim), rotated in fp32 at positions (rows), or at
/// first_position + row where positions is null.
void split_and_rotate(const Element* qkv, const int32_t* positions, int32_t first_position,
                      int64_t rows, int32_t num_heads, int32_t num_kv_heads, const RopeTables& rope,
                      const QkvParts& parts, cudaStream_t stream);

/// Row i of key and value (batch, num_kv_heads * head_dim) joins the exact tokens of sequence i.
void append(const DecodeShape& shape, const HeadView* heads, const int32_t* generated,
            const Element* key, const Element* value, cudaStream_t stream);

/// tokens (rows) = first index of the largest of logits (rows, vocab_size)
void arg_max(const float* logits, int64_t rows, int64_t vocab_size, uint32_t* tokens,
             cudaStream_t stream);

}  // namespace gnomon::cuda
