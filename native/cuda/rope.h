#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "engine/config.h"

namespace gnomon::cuda {

/// The rotation by two angles, one after the other: x is a cosine, y a sine.
__device__ inline float2 turn(float2 a, float2 b) {
  return {a.x * b.x - a.y * b.y, a.y * b.x + a.x * b.y};
}

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
    return turn(a, fine[row * half + i]);
  }
  /// Rotations by `offset`, less than 256, from `start`: (half).
  __device__ const float2* fine_row(int32_t start, int32_t offset) const {
    return fine + (offset + (start < original_start ? 0 : 256)) * half;
  }
};

/// The two tables, one behind the other: coarse, then fine.
std::vector<float2> make_rope_tables(const ModelConfig& config);

/// `tables`: what make_rope_tables made, in device memory.
RopeTables view_rope_tables(const ModelConfig& config, const float2* tables);

}  // namespace gnomon::cuda
