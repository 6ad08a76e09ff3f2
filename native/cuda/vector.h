#pragma once
// Eight elements at a time, by 16-byte accesses.

#include "cuda/element.h"

namespace gnomon::cuda {

struct Floats8 {
  float at[8];
};

#ifdef GNOMON_CUDA_FP32

__device__ inline Floats8 load8(const float* source) {
  const float4 low = reinterpret_cast<const float4*>(source)[0];
  const float4 high = reinterpret_cast<const float4*>(source)[1];
  return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
}

__device__ inline void store8(float* target, const Floats8& values) {
  const float(&at)[8] = values.at;
  reinterpret_cast<float4*>(target)[0] = {at[0], at[1], at[2], at[3]};
  reinterpret_cast<float4*>(target)[1] = {at[4], at[5], at[6], at[7]};
}

#else

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

#endif

}  // namespace gnomon::cuda
