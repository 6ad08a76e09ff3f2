// One block a row and head; thread i holds the pair (i, i + head_dim / 2) that RoPE rotates.

#include "cuda/launch.h"
#include "cuda/ops.h"

namespace gnomon::cuda {

namespace {

__global__ void split(const __nv_bfloat16* qkv, const int32_t* positions, int32_t first_position,
                      int num_heads, int num_kv_heads, RopeTables rope, QkvParts parts) {
  const int64_t row = blockIdx.x;
  const int head = blockIdx.y, i = threadIdx.x, half = blockDim.x, head_dim = 2 * half;
  const __nv_bfloat16* source =
      qkv + (row * (num_heads + 2 * num_kv_heads) + head) * static_cast<int64_t>(head_dim);
  after_previous();
  const __nv_bfloat16 low = source[i], high = source[i + half];
  const auto address = [&](__nv_bfloat16* base, int heads, int h) {
    return base + (row * heads + h) * head_dim;
  };
  if (head >= num_heads + num_kv_heads) {
    __nv_bfloat16* value = address(parts.value, num_kv_heads, head - num_heads - num_kv_heads);
    value[i] = low;
    value[i + half] = high;
    return;
  }
  const bool is_key = head >= num_heads;
  if (is_key && parts.key_pre_rope != nullptr) {
    __nv_bfloat16* pre = address(parts.key_pre_rope, num_kv_heads, head - num_heads);
    pre[i] = low;
    pre[i + half] = high;
  }
  const int32_t position =
      positions != nullptr ? positions[row] : first_position + static_cast<int32_t>(row);
  const float2 angle = rope.at(position, i);
  const float a = __bfloat162float(low), b = __bfloat162float(high);
  __nv_bfloat16* target = is_key ? address(parts.key, num_kv_heads, head - num_heads)
                                 : address(parts.query, num_heads, head);
  target[i] = __float2bfloat16(a * angle.x - b * angle.y);
  target[i + half] = __float2bfloat16(b * angle.x + a * angle.y);
}

}  // namespace

void split_and_rotate(const __nv_bfloat16* qkv, const int32_t* positions, int32_t first_position,
                      int64_t rows, int32_t num_heads, int32_t num_kv_heads, const RopeTables& rope,
                      const QkvParts& parts, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rows), num_heads + 2 * num_kv_heads);
  launch_early(split, grid, rope.half, 0, stream, qkv, positions, first_position, num_heads,
               num_kv_heads, rope, parts);
}

}  // namespace gnomon::cuda
