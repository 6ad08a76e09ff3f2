#pragma once
#include <cstdint>

namespace gnomon::cpu {

/// Landmarks are stored in transposed blocks of this many: scores come out as vectors.
constexpr int64_t kLandmarkBlock = 16;

/// The keys of one KV head where prefill left them: rows of head_dim, `stride` floats apart.
struct HeadKeys {
  const float* data;
  int64_t stride;
  int64_t head_dim;

  const float* at(int64_t token) const { return data + token * stride; }
};

/// mean (head_dim) of the post-RoPE keys of tokens [first, first + count).
void mean_key(const HeadKeys& keys, int64_t first, int64_t count, float* mean);

/// The smallest cosine between `mean` (head_dim) and a key of tokens [first, first + count): how
/// badly the mean stands for them.
float min_cosine(const HeadKeys& keys, int64_t first, int64_t count, const float* mean);

/// Puts a landmark (head_dim) at `index` of transposed blocks (_, head_dim, 16).
void store_landmark(const float* landmark, int64_t head_dim, int64_t index, float* blocks);

}  // namespace gnomon::cpu
