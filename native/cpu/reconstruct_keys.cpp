#include "cpu/reconstruct_keys.h"

#include <algorithm>
#include <array>

#include "cpu/multiply_rows.h"

namespace gnomon::cpu {

void reconstruct_keys(const KeyFactors& factors, std::span<const Miss> misses,
                      const RopeTable& rope, float* slot_keys) {
  constexpr int64_t kTokens = 64;  // multiplied together, then rotated while still in cache
  std::array<const float*, kTokens> rows;
  std::array<float*, kTokens> keys;
  std::array<int64_t, kTokens> positions;
  const int64_t tokens = static_cast<int64_t>(misses.size()) * factors.chunk_size;
  for (int64_t first = 0; first < tokens; first += kTokens) {
    const int64_t count = std::min(kTokens, tokens - first);
    for (int64_t i = 0; i < count; ++i) {
      const Miss& miss = misses[(first + i) / factors.chunk_size];
      const int64_t offset = (first + i) % factors.chunk_size;
      positions[i] = miss.chunk * factors.chunk_size + offset;
      rows[i] = factors.factor + positions[i] * factors.rank;
      keys[i] = slot_keys + (miss.slot * factors.chunk_size + offset) * factors.head_stride;
    }
    multiply_rows({rows.data(), count, 1, factors.rank, factors.basis, factors.head_stride,
                   factors.head_stride, keys.data()});
    for (int64_t i = 0; i < count; ++i) rotate(keys[i], rope.at(positions[i]), rope.half());
  }
}

}  // namespace gnomon::cpu
