#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "engine/config.h"

namespace gnomon::cuda {

/// Cosine and sine of any position out of two small tables: position = 256 a + b, and the angles
/// add. In double precision on the host, so that a million positions lose nothing.
struct RopeTables {
  const float2* coarse;  // (ceil(max_positions / 256), half): of 256 a
  const float2* fine;    // (256, half): of b
  int32_t half;          // head_dim / 2

  /// x: cosine, y: sine of pair i at `position`.
  __device__ float2 at(int32_t position, int32_t i) const {
    const float2 a = coarse[static_cast<int64_t>(position >> 8) * half + i];
    const float2 b = fine[(position & 255) * half + i];
    return {a.x * b.x - a.y * b.y, a.y * b.x + a.x * b.y};
  }
  /// Of pairs i and i + 1; i is even.
  __device__ void at_two(int32_t position, int32_t i, float2 (&out)[2]) const {
    const float4 a = *reinterpret_cast<const float4*>(
        coarse + static_cast<int64_t>(position >> 8) * half + i);
    const float4 b = *reinterpret_cast<const float4*>(fine + (position & 255) * half + i);
    out[0] = {a.x * b.x - a.y * b.y, a.y * b.x + a.x * b.y};
    out[1] = {a.z * b.z - a.w * b.w, a.w * b.z + a.z * b.w};
  }
};

/// The two tables, one behind the other: coarse, then fine.
std::vector<float2> make_rope_tables(const ModelConfig& config);

}  // namespace gnomon::cuda
