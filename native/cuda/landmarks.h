#pragma once
// Landmarks are kept in seven bits a dimension: level = (mean - low) / step, where low and step
// = (high - low) / 127 are the dimension's own over all chunks that are no outliers. Scores need no
// low: it shifts the logits of a query by the same amount everywhere, which no softmax sees.

#include <cuda_bf16.h>

#include <cstdint>

namespace gnomon::cuda {

constexpr float kLandmarkLevels = 127.0f;

/// Four levels, one a byte, as bf16 less 64, which is exact: as the low bits of 128 = 0x4300 each
/// is 128 more.
__device__ inline void levels_to_bf16(uint32_t levels, uint32_t& low, uint32_t& high) {
  const __nv_bfloat162 middle = __floats2bfloat162_rn(192.0f, 192.0f);
  const uint32_t pairs[2] = {__byte_perm(levels, 0x43434343u, 0x4140),
                             __byte_perm(levels, 0x43434343u, 0x4342)};
  const __nv_bfloat162 first = __hsub2(*reinterpret_cast<const __nv_bfloat162*>(&pairs[0]), middle);
  const __nv_bfloat162 second =
      __hsub2(*reinterpret_cast<const __nv_bfloat162*>(&pairs[1]), middle);
  low = *reinterpret_cast<const uint32_t*>(&first);
  high = *reinterpret_cast<const uint32_t*>(&second);
}

}  // namespace gnomon::cuda
