#pragma once
#include <cstdint>
#include <span>

#include "cpu/rope_table.h"

namespace gnomon::cpu {

/// A chunk to reconstruct, and the slot for it.
struct Miss {
  int32_t chunk;
  int32_t slot;
};

struct KeyFactors {
  const float* factor;  // (context_tokens, rank)
  const float* basis;   // (rank, head_stride) of one KV head
  int64_t rank;
  int64_t head_stride;
  int64_t chunk_size;
  int64_t first_position = 0;  // of the first token of chunk 0
};

/// slot_keys (_, chunk_size, head_stride): for every miss the post-RoPE keys of its chunk,
/// factor rows times basis, rotated at their original positions, which `rope` must hold.
void reconstruct_keys(const KeyFactors& factors, std::span<const Miss> misses,
                      const RopeTable& rope, float* slot_keys);

}  // namespace gnomon::cpu
