#pragma once
// Landmarks are kept in seven bits a dimension: level = (mean - low) / step, where low and step
// = (high - low) / 127 are the dimension's own over all chunks that are no outliers. Scores need
// neither low nor levels that begin at 0: either shifts the logits of a query by the same amount
// everywhere, which no softmax sees.

#include <cstdint>

#include "cuda/mma.h"

namespace gnomon::cuda {

constexpr float kLandmarkLevels = 127.0f;

#ifdef GNOMON_CUDA_FP32

/// Four levels, one a byte.
__device__ inline void levels_to_pairs(uint32_t levels, Pair& low, Pair& high) {
  const auto at = [&](int i) { return static_cast<float>(levels >> 8 * i & 255); };
  low = {at(0), at(1)};
  high = {at(2), at(3)};
}

#else

/// Four levels, one a byte, and 128 more, which bf16 holds exactly: the low bits of 128 = 0x4300.
__device__ inline void levels_to_pairs(uint32_t levels, Pair& low, Pair& high) {
  low = __byte_perm(levels, 0x43434343u, 0x4140);
  high = __byte_perm(levels, 0x43434343u, 0x4342);
}

#endif

}  // namespace gnomon::cuda
