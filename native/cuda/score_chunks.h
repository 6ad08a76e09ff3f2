#pragma once
#include <cuda_runtime.h>

#include "cuda/head_view.h"

namespace gnomon::cuda {

/// fp32 logits, times log2(e), and partial softmax statistics of one decode step of one layer.
struct ChunkScores {
  float* logits;    // (batch, num_kv_heads, group, max_chunks); -inf for outlier chunks
  float2* partial;  // (batch, num_kv_heads, group, score_blocks): maximum, sum of powers of two
};

/// Chunks that one block scores.
inline constexpr int kScoreBlockChunks = 512;

/// Blocks that share the chunks of one KV head.
int score_blocks(const DecodeShape& shape);

/// logits = log2(e) query landmark / sqrt(head_dim) for every query head of the group, up to a
/// shift by the same amount for all chunks (landmarks.h).
void score_chunks(const DecodeShape& shape, const HeadView* heads, const Element* query,
                  const ChunkScores& scores, cudaStream_t stream);

}  // namespace gnomon::cuda
