#pragma once
// Eight bf16 at a time through one 16-byte access.

#include <cuda_bf16.h>

namespace gnomon::cuda {

struct Floats8 {
  float at[8];
};

__device__ inline Floats8 load8(const __nv_bfloat16* source) {
  const uint4 bits = *reinterpret_cast<const uint4*>(source);
  const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(&bits);
  Floats8 out;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __bfloat1622float2(pairs[i]);
    out.at[2 * i] = pair.x;
    out.at[2 * i + 1] = pair.y;
  }
  return out;
}

__device__ inline void store8(__nv_bfloat16* target, const Floats8& values) {
  uint4 bits;
  auto* pairs = reinterpret_cast<__nv_bfloat162*>(&bits);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    pairs[i] = __floats2bfloat162_rn(values.at[2 * i], values.at[2 * i + 1]);
  }
  *reinterpret_cast<uint4*>(target) = bits;
}

}  // namespace gnomon::cuda
