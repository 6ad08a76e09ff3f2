#pragma once
// Landmarks are kept in seven bits a dimension: level = (mean - low) / step, where low and step
// = (high - low) / 127 are the dimension's own over all chunks that are no outliers. Scores need no
// low: it shifts the logits of a query by the same amount everywhere, which no softmax sees.

#include <cstdint>

#include "cuda/mma.h"

namespace gnomon::cuda {

constexpr float kLandmarkLevels = 127.0f;

#ifdef GNOMON_CUDA_FP32

/// Four levels, one a byte, less 64.
__device__ inline void levels_to_pairs(uint32_t levels, Pair& low, Pair& high) {
  const auto at = [&](int i) { return static_cast<float>(levels >> 8 * i & 255) - 64.0f; };
  low = {at(0), at(1)};
  high = {at(2), at(3)};
}

#else

/// Four levels, one a byte, less 64, which bf16 holds exactly: as the low bits of 128 = 0x4300 each
/// is 128 more.
__device__ inline void levels_to_pairs(uint32_t levels, Pair& low, Pair& high) {
  const __nv_bfloat162 middle = __floats2bfloat162_rn(192.0f, 192.0f);
  const uint32_t pairs[2] = {__byte_perm(levels, 0x43434343u, 0x4140),
                             __byte_perm(levels, 0x43434343u, 0x4342)};
  const __nv_bfloat162 first = __hsub2(*reinterpret_cast<const __nv_bfloat162*>(&pairs[0]), middle);
  const __nv_bfloat162 second =
      __hsub2(*reinterpret_cast<const __nv_bfloat162*>(&pairs[1]), middle);
  low = *reinterpret_cast<const uint32_t*>(&first);
  high = *reinterpret_cast<const uint32_t*>(&second);
}

#endif

}  // namespace gnomon::cuda
