// Register-tiled matrix product, the inner loop of `linear` and `prefill_attention`. Compiled once
// per instruction set: included inside foreach_target, so there is no ordinary include guard.

#if defined(GNOMON_CPU_TILE_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GNOMON_CPU_TILE_PRODUCT_INL_H_
#undef GNOMON_CPU_TILE_PRODUCT_INL_H_
#else
#define GNOMON_CPU_TILE_PRODUCT_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "cpu/tile_width.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gnomon::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = HWY_CAPPED(float, 16);
constexpr int64_t kLanes = hn::MaxLanes(FloatTag());

/// A (rows, depth) operand anywhere in memory, read element by element.
struct Strided {
  const float* data;
  ptrdiff_t row_stride;
  ptrdiff_t depth_stride;
};

// Accumulators that fit in the registers beside one row of b and a broadcast element of a.
constexpr int kAccumulators = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64 ? 24 : 12;
constexpr int kTileRows = 6;
constexpr int kTileVectors = kTileWidth / kLanes;

/// Vectors side by side in a tile of `rows` rows: the largest power of two that fits.
constexpr int tile_vectors(int rows) {
  int vectors = 1;
  while (2 * vectors <= kTileVectors && 2 * vectors * rows <= kAccumulators) vectors *= 2;
  return vectors;
}

/// c (kRows, kVectors * kLanes) of a tile whose rows are kTileWidth apart.
template <int kRows, int kVectors>
HWY_INLINE void multiply_registers(const Strided& a, const float* HWY_RESTRICT b, int64_t depth,
                                   bool accumulate, float* HWY_RESTRICT c) {
  const FloatTag d;
  using V = hn::Vec<FloatTag>;
  V sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      sum[i][v] = accumulate ? hn::Load(d, c + i * kTileWidth + v * kLanes) : hn::Zero(d);
    }
  }
  const float* HWY_RESTRICT element = a.data;
  const ptrdiff_t row_stride = a.row_stride, depth_stride = a.depth_stride;
  for (int64_t k = 0; k < depth; ++k) {
    V right[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) right[v] = hn::Load(d, b + v * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const V left = hn::Set(d, element[i * row_stride]);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::MulAdd(left, right[v], sum[i][v]);
    }
    element += depth_stride;
    b += kTileWidth;
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) hn::Store(sum[i][v], d, c + i * kTileWidth + v * kLanes);
  }
}

template <int kRows>
HWY_NOINLINE void multiply_rows(const Strided& a, const float* b, int64_t depth, bool accumulate,
                                int64_t cols, float* c) {
  constexpr int kVectors = tile_vectors(kRows);
  for (int64_t col = 0; col < cols; col += kVectors * kLanes) {
    multiply_registers<kRows, kVectors>(a, b + col, depth, accumulate, c + col);
  }
}

/// c (rows, kTileWidth) = a (rows, depth) b (depth, kTileWidth), or += with `accumulate`. Columns
/// from `cols` on may be left alone. b and c are aligned to vectors.
///
/// Every element is one chain of multiply-adds in the order of depth, in every tile shape, so it
/// does not depend on how many rows there are; splitting depth and accumulating does not change it
/// either.
inline void tile_product(Strided a, int64_t rows, const float* b, int64_t depth, bool accumulate,
                         int64_t cols, float* c) {
  while (rows > 0) {
    const int64_t step = rows < kTileRows ? rows : kTileRows;
    switch (step) {
      case 1:
        multiply_rows<1>(a, b, depth, accumulate, cols, c);
        break;
      case 2:
        multiply_rows<2>(a, b, depth, accumulate, cols, c);
        break;
      case 3:
        multiply_rows<3>(a, b, depth, accumulate, cols, c);
        break;
      case 4:
        multiply_rows<4>(a, b, depth, accumulate, cols, c);
        break;
      case 5:
        multiply_rows<5>(a, b, depth, accumulate, cols, c);
        break;
      default:
        multiply_rows<6>(a, b, depth, accumulate, cols, c);
    }
    a.data += step * a.row_stride;
    c += step * kTileWidth;
    rows -= step;
  }
}

}  // namespace
}  // namespace gnomon::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
