// One block a row and head; thread i holds the pair (i, i + head_dim / 2) that RoPE rotates.

#include "cuda/launch.h"
#include "cuda/ops.h"

namespace gnomon::cuda {

namespace {

__global__ void split(const Element* qkv, const int32_t* positions, int32_t first_position,
                      int num_heads, int num_kv_heads, RopeTables rope, QkvParts parts) {
  const int64_t row = blockIdx.x;
  const int head = blockIdx.y, i = threadIdx.x, half = blockDim.x, head_dim = 2 * half;
  const Element* source =
      qkv + (row * (num_heads + 2 * num_kv_heads) + head) * static_cast<int64_t>(head_dim);
  after_previous();
  const Element low = source[i], high = source[i + half];
  const auto address = [&](Element* base, int heads, int h) {
    return base + (row * heads + h) * head_dim;
  };
  if (head >= num_heads + num_kv_heads) {
    Element* value = address(parts.value, num_kv_heads, head - num_heads - num_kv_heads);
    value[i] = low;
    value[i + half] = high;
    return;
  }
  const bool is_key = head >= num_heads;
  if (is_key && parts.key_pre_rope != nullptr) {
    Element* pre = address(parts.key_pre_rope, num_kv_heads, head - num_heads);
    pre[i] = low;
    pre[i + half] = high;
  }
  const int32_t position =
      positions != nullptr ? positions[row] : first_position + static_cast<int32_t>(row);
  const float2 angle = rope.at(position, i);
  const float a = to_float(low), b = to_float(high);
  Element* target = is_key ? address(parts.key, num_kv_heads, head - num_heads)
                           : address(parts.query, num_heads, head);
  target[i] = to_element(a * angle.x - b * angle.y);
  target[i + half] = to_element(b * angle.x + a * angle.y);
}

}  // namespace

void split_and_rotate(const Element* qkv, const int32_t* positions, int32_t first_position,
                      int64_t rows, int32_t num_heads, int32_t num_kv_heads, const RopeTables& rope,
                      const QkvParts& parts, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rows), num_heads + 2 * num_kv_heads);
  launch_early(split, grid, rope.half, 0, stream, qkv, positions, first_position, num_heads,
               num_kv_heads, rope, parts);
}

}  // namespace gnomon::cuda
