#pragma once
// What summarise does besides the factorisation. Keys and values of the prompt are
// (prompt_tokens, num_kv_heads * head_dim), row-major.

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/element.h"

namespace gnomon::cuda {

struct PromptShape {
  int64_t prompt_tokens;
  int32_t num_kv_heads;
  int32_t head_dim;
  int32_t chunk_size;
  int64_t num_chunks;
};

/// cosines (num_kv_heads, num_chunks) = smallest cosine between the mean of a chunk's keys and one
/// of them.
void compare_chunks(const PromptShape& shape, const Element* keys, float* cosines,
                    cudaStream_t stream);

/// landmarks (num_kv_heads, num_chunks, head_dim) = levels of the means of the chunks' keys, and
/// steps (num_kv_heads, head_dim) between levels (landmarks.h). `outliers`: bitmap of
/// select_outliers. `range` is scratch (2, num_kv_heads, head_dim).
void make_landmarks(const PromptShape& shape, const Element* keys, const uint32_t* outliers,
                    uint32_t* range, uint8_t* landmarks, float* steps, cudaStream_t stream);

/// The `count` chunks of smallest cosine per KV head, chunk 0 always among them, as a bitmap
/// (num_kv_heads, ceil(num_chunks / 32)) and in order (num_kv_heads, count). `ranks` is scratch
/// (num_kv_heads, num_chunks).
void select_outliers(const PromptShape& shape, const float* cosines, int32_t count, uint32_t* ranks,
                     uint32_t* bitmap, int32_t* chunks, cudaStream_t stream);

/// out (num_kv_heads, out_stride / head_dim rows, head_dim) = rows [first, first + count) of each
/// KV head.
void copy_rows(const PromptShape& shape, const Element* source, int64_t first, int64_t count,
               Element* out, int64_t out_stride, cudaStream_t stream);

/// The listed chunks (num_kv_heads, count) of each KV head, behind each other.
void copy_chunks(const PromptShape& shape, const Element* source, const int32_t* chunks,
                 int32_t count, Element* out, int64_t out_stride, cudaStream_t stream);

/// basis (num_kv_heads, rank, head_dim) from vectors (rank, key_width); and the same as
/// projection (rank, key_width), the right-hand side of the projection.
void make_basis(const double* vectors, int32_t key_width, int32_t head_dim, int32_t rank,
                Element* basis, Element* projection, cudaStream_t stream);

}  // namespace gnomon::cuda
