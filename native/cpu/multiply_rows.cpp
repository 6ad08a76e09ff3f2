#include "cpu/multiply_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/multiply_rows.cpp"
#include "engine/simd_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gnomon::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Lanes = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Lanes>;

// kRows x kVectors sums stay in registers: 16 of 32 with AVX-512, 8 of 16 otherwise.
constexpr int kTileRows = 4;
constexpr int kTileVectors = HWY_TARGET == HWY_AVX3 ? 4 : 2;

template <int kRows, int kVectors>
HWY_ATTR void multiply_tile(const RowProduct& p, int64_t row, int64_t column) {
  const Lanes d;
  const int64_t lanes = hn::Lanes(d);
  const float* a[kRows];
  Vector sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    a[r] = p.rows[row + r];
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  const float* b = p.b + column;
  for (int64_t k = 0; k < p.depth; ++k, b += p.b_stride) {
    Vector b_row[kVectors];
    for (int v = 0; v < kVectors; ++v) b_row[v] = hn::LoadU(d, b + v * lanes);
    for (int r = 0; r < kRows; ++r) {
      const Vector scale = hn::Set(d, a[r][k * p.step]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(scale, b_row[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, p.out[row + r] + column + v * lanes);
    }
  }
}

template <int kVectors>
HWY_ATTR void multiply_columns(const RowProduct& p, int64_t column) {
  int64_t row = 0;
  for (; row + kTileRows <= p.num_rows; row += kTileRows) {
    multiply_tile<kTileRows, kVectors>(p, row, column);
  }
  for (; row < p.num_rows; ++row) multiply_tile<1, kVectors>(p, row, column);
}

HWY_ATTR void multiply_rows(const RowProduct& p) {
  const int64_t lanes = hn::Lanes(Lanes());
  int64_t column = 0;
  for (; column + kTileVectors * lanes <= p.columns; column += kTileVectors * lanes) {
    multiply_columns<kTileVectors>(p, column);
  }
  for (; column < p.columns; column += lanes) multiply_columns<1>(p, column);
}

}  // namespace gnomon::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gnomon::cpu {

HWY_EXPORT(multiply_rows);

void multiply_rows(const RowProduct& product) { HWY_DYNAMIC_DISPATCH(multiply_rows)(product); }

}  // namespace gnomon::cpu
#endif
