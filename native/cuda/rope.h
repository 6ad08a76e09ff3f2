#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "engine/config.h"

namespace gnomon::cuda {

/// Cosine and sine of any position out of two small tables: position = 256 a + b, and the angles
/// add. In double precision on the host, so that a million positions lose nothing. The scale of
/// LongRoPE and YaRN is in the coarse table. Positions from original_context_start() on have
/// frequencies, and so fine rows, of their own.
struct RopeTables {
  const float2* coarse;    // (ceil(max_positions / 256) + those of the original context, half)
  const float2* fine;      // (2, 256, half): of b, full and original context
  int32_t half;            // head_dim / 2
  int32_t original_start;  // original_context_start()

  /// x: cosine, y: sine of pair i at `position`.
  __device__ float2 at(int32_t position, int32_t i) const {
    const float2 a = coarse[static_cast<int64_t>(position >> 8) * half + i];
    const int32_t row = (position & 255) + (position < original_start ? 0 : 256);
    const float2 b = fine[row * half + i];
    return turn(a, b);
  }
  /// Of pairs i and i + 1, i even, at `start` + `offset`, which is small: what the threads that
  /// share a start load is the same.
  __device__ void at_two(int32_t start, int32_t offset, int32_t i, float2 (&out)[2]) const {
    const float2* rows = fine + (start < original_start ? 0 : 256 * half) + i;
    const float4 a =
        *reinterpret_cast<const float4*>(coarse + static_cast<int64_t>(start >> 8) * half + i);
    const float4 b = *reinterpret_cast<const float4*>(rows + (start & 255) * half);
    const float4 c = *reinterpret_cast<const float4*>(rows + offset * half);
    const float2 first = turn(turn({a.x, a.y}, {b.x, b.y}), {c.x, c.y});
    const float2 second = turn(turn({a.z, a.w}, {b.z, b.w}), {c.z, c.w});
    out[0] = first;
    out[1] = second;
  }

 private:
  static __device__ float2 turn(float2 a, float2 b) {
    return {a.x * b.x - a.y * b.y, a.y * b.x + a.x * b.y};
  }
};

/// The two tables, one behind the other: coarse, then fine.
std::vector<float2> make_rope_tables(const ModelConfig& config);

/// `tables`: what make_rope_tables made, in device memory.
RopeTables view_rope_tables(const ModelConfig& config, const float2* tables);

}  // namespace gnomon::cuda
