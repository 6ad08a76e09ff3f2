#pragma once
#include <cstdint>
#include <span>

namespace gnomon::cpu {

/// Consecutive tokens of one KV head.
struct Run {
  const float* keys;    // (tokens, head_stride)
  const float* values;  // (tokens, head_stride)
  int64_t tokens;
};

/// Softmax attention that can be merged with that over other tokens.
struct PartialAttention {
  float* weighted;  // (group, head_stride): sum of exp(logit - largest) * value
  float* largest;   // (group): largest logit
  float* total;     // (group): sum of exp(logit - largest)
};

/// Attention of a query group over all tokens of `runs`, at least one. query (group, head_stride)
/// is already divided by sqrt(head_dim) and padded with zeros. Every row of keys and values is
/// read from memory once for the whole group.
void attend(const float* query, int64_t group, int64_t head_stride, std::span<const Run> runs,
            const PartialAttention& result);

/// out (group, head_dim) = the attention over the tokens of all parts, merged in their order.
/// Overwrites the first part.
void merge_attention(std::span<const PartialAttention> parts, int64_t group, int64_t head_stride,
                     int64_t head_dim, float* out);

}  // namespace gnomon::cpu
