#include "cpu/split_and_rotate.h"

#include <algorithm>

#include "cpu/row_blocks.h"

namespace gnomon::cpu {

namespace {

/// Copies heads of one token from `in` to `out`, rotated.
void rotate_heads(const float* in, int64_t width, int64_t head_dim, const float* cos_sin,
                  float* out) {
  std::copy_n(in, width, out);
  for (int64_t col = 0; col < width; col += head_dim) rotate(out + col, cos_sin, head_dim / 2);
}

}  // namespace

void split_and_rotate(Context& context, Matrix qkv, std::span<const int32_t> positions,
                      Matrix query, Matrix key_pre_rope, Matrix key, Matrix value) {
  const ModelConfig& c = context.config;
  const int64_t query_width = c.query_width(), key_width = c.key_width();
  for (const int32_t position : positions) context.rope.reserve(position);
  for_each_row(context.pool, qkv.rows, qkv.cols, [&](int64_t i) {
    const float* q = row(qkv, i);
    const float* k = q + query_width;
    const float* v = k + key_width;
    const float* cos_sin = context.rope.at(positions[i]);
    rotate_heads(q, query_width, c.head_dim, cos_sin, row(query, i));
    rotate_heads(k, key_width, c.head_dim, cos_sin, row(key, i));
    std::copy_n(v, key_width, row(value, i));
    if (key_pre_rope.data) std::copy_n(k, key_width, row(key_pre_rope, i));
  });
}

}  // namespace gnomon::cpu
