#include "cpu/reconstruct_keys.h"

#include <algorithm>
#include <array>

#include "cpu/multiply_rows.h"

namespace gnomon::cpu {

namespace {

constexpr int64_t kTokens = 16;     // multiplied together, then rotated while still in cache
constexpr int64_t kCacheLine = 16;  // floats

/// Asks for rows that lie anywhere in memory, ahead of their use.
void prefetch_row(const float* row, int64_t count) {
  for (int64_t i = 0; i < count; i += kCacheLine) __builtin_prefetch(row + i);
}

/// Rows of the tokens [first, first + kTokens) of all missed chunks.
struct Tile {
  std::array<int64_t, kTokens> positions;
  std::array<const float*, kTokens> rows;
  std::array<float*, kTokens> keys;
  int64_t tokens = 0;
};

}  // namespace

void reconstruct_keys(const KeyFactors& factors, std::span<const Miss> misses,
                      const RopeTable& rope, float* slot_keys) {
  const int64_t tokens = static_cast<int64_t>(misses.size()) * factors.chunk_size;
  const auto load = [&](int64_t first) {
    Tile tile;
    tile.tokens = std::clamp<int64_t>(tokens - first, 0, kTokens);
    for (int64_t i = 0; i < tile.tokens; ++i) {
      const Miss& miss = misses[(first + i) / factors.chunk_size];
      const int64_t offset = (first + i) % factors.chunk_size;
      tile.positions[i] = miss.chunk * factors.chunk_size + offset;
      tile.rows[i] = factors.factor + tile.positions[i] * factors.rank;
      tile.keys[i] = slot_keys + (miss.slot * factors.chunk_size + offset) * factors.head_stride;
      prefetch_row(tile.rows[i], factors.rank);
      prefetch_row(rope.at(factors.first_position + tile.positions[i]), 2 * rope.half());
      prefetch_row(tile.keys[i], factors.head_stride);
    }
    return tile;
  };
  Tile tile = load(0);
  for (int64_t first = 0; first < tokens; first += kTokens) {
    const Tile next = load(first + kTokens);
    multiply_rows({tile.rows.data(), tile.tokens, 1, factors.rank, factors.basis,
                   factors.head_stride, factors.head_stride, tile.keys.data()});
    for (int64_t i = 0; i < tile.tokens; ++i) {
      rotate(tile.keys[i], rope.at(factors.first_position + tile.positions[i]), rope.half());
    }
    tile = next;
  }
}

}  // namespace gnomon::cpu
