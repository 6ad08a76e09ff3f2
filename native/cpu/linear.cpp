#include "cpu/linear.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/linear.cpp"
#include "engine/simd_targets.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// Compiled for the target that foreach_target has chosen.
#include "cpu/tile_product-inl.h"

#ifndef GNOMON_CPU_LINEAR_BLOCK_
#define GNOMON_CPU_LINEAR_BLOCK_
namespace gnomon::cpu {

/// One task: rows of x against one panel of the weight.
struct LinearBlock {
  const float* x;      // (rows, in)
  const float* panel;  // (in, kTileWidth)
  const float* bias;   // (cols) or null
  float* out;          // (rows, cols), rows out_stride apart
  int64_t rows;        // at most kBlockRows
  int64_t cols;        // at most kTileWidth
  int64_t in;
  int64_t out_stride;
  bool add;
};

// A block of x, a slice of the panel and the sums stay in the second-level cache together.
constexpr int64_t kBlockRows = 96;
constexpr int64_t kSliceDepth = 512;

}  // namespace gnomon::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace gnomon::cpu::HWY_NAMESPACE {
namespace {

void finish_row(const LinearBlock& block, const float* HWY_RESTRICT sum, float* HWY_RESTRICT out) {
  const FloatTag d;
  int64_t col = 0;
  for (; col + kLanes <= block.cols; col += kLanes) {
    auto value = hn::Load(d, sum + col);
    if (block.bias) value = hn::Add(value, hn::LoadU(d, block.bias + col));
    if (block.add) value = hn::Add(value, hn::LoadU(d, out + col));
    hn::StoreU(value, d, out + col);
  }
  for (; col < block.cols; ++col) {
    const float value = block.bias ? sum[col] + block.bias[col] : sum[col];
    out[col] = block.add ? out[col] + value : value;
  }
}

void multiply_block(const LinearBlock& block) {
  alignas(64) float sums[kBlockRows * kTileWidth];
  for (int64_t k = 0; k < block.in; k += kSliceDepth) {
    const int64_t depth = std::min(kSliceDepth, block.in - k);
    tile_product({block.x + k, block.in, 1}, block.rows, block.panel + k * kTileWidth, depth, k > 0,
                 block.cols, sums);
  }
  for (int64_t i = 0; i < block.rows; ++i) {
    finish_row(block, sums + i * kTileWidth, block.out + i * block.out_stride);
  }
}

}  // namespace
}  // namespace gnomon::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gnomon::cpu {

HWY_EXPORT(multiply_block);

namespace {

void multiply(Context& context, Matrix x, const LinearWeight& weight, Matrix out, bool add) {
  const auto multiply_one = HWY_DYNAMIC_DISPATCH(multiply_block);
  const int64_t panels = (weight.out + kTileWidth - 1) / kTileWidth;
  const int64_t row_blocks = (x.rows + kBlockRows - 1) / kBlockRows;
  context.pool.parallel_for(row_blocks * panels, [&](int64_t task, int64_t) {
    const int64_t first = task / panels * kBlockRows, panel = task % panels;
    const int64_t col = panel * kTileWidth;
    multiply_one({.x = row(x, first),
                  .panel = weight.panels.floats() + panel * weight.in * kTileWidth,
                  .bias = weight.bias.floats() ? weight.bias.floats() + col : nullptr,
                  .out = row(out, first) + col,
                  .rows = std::min(kBlockRows, x.rows - first),
                  .cols = std::min(kTileWidth, weight.out - col),
                  .in = weight.in,
                  .out_stride = out.cols,
                  .add = add});
  });
}

}  // namespace

void linear(Context& context, Matrix x, const LinearWeight& weight, Matrix out) {
  multiply(context, x, weight, out, false);
}

void linear_add(Context& context, Matrix x, const LinearWeight& weight, Matrix out) {
  multiply(context, x, weight, out, true);
}

}  // namespace gnomon::cpu
#endif
