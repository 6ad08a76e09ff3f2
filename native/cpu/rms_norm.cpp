#include "cpu/rms_norm.h"

#include <cmath>

#include "cpu/row_blocks.h"

namespace gnomon::cpu {

namespace {

// Sixteen running sums: the compiler may vectorise them, a single one it may not reorder.
constexpr int64_t kSums = 16;

float sum_of_squares(const float* x, int64_t count) {
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int64_t lane = 0; lane < kSums; ++lane) sums[lane] += x[i + lane] * x[i + lane];
  }
  for (; i < count; ++i) sums[i % kSums] += x[i] * x[i];
  double total = 0;
  for (const float sum : sums) total += sum;
  return static_cast<float>(total);
}

}  // namespace

void rms_norm(Context& context, Matrix x, const TableWeight& gain, double eps, Matrix out) {
  const float* g = gain.values.floats();
  for_each_row(context.pool, x.rows, x.cols, [&](int64_t i) {
    const float* in = row(x, i);
    float* normed = row(out, i);
    const double mean = sum_of_squares(in, x.cols) / static_cast<double>(x.cols);
    const float scale = static_cast<float>(1.0 / std::sqrt(mean + eps));
    for (int64_t j = 0; j < x.cols; ++j) normed[j] = in[j] * scale * g[j];
  });
}

}  // namespace gnomon::cpu
