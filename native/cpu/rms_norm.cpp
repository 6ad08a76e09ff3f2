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

/// out (cols) may be x.
void norm_row(const float* x, const float* gain, double eps, int64_t cols, float* out) {
  const double mean = sum_of_squares(x, cols) / static_cast<double>(cols);
  const float scale = static_cast<float>(1.0 / std::sqrt(mean + eps));
  for (int64_t i = 0; i < cols; ++i) out[i] = x[i] * scale * gain[i];
}

}  // namespace

void rms_norm(Context& context, Matrix x, const TableWeight& gain, double eps, Matrix out) {
  const float* g = gain.values.floats();
  for_each_row(context.pool, x.rows, x.cols,
               [&](int64_t i) { norm_row(row(x, i), g, eps, x.cols, row(out, i)); });
}

void norm_heads(Context& context, Matrix qkv, const TableWeight& query_gain,
                const TableWeight& key_gain, double eps) {
  const ModelConfig& c = context.config;
  for_each_row(context.pool, qkv.rows, qkv.cols, [&](int64_t i) {
    for (int64_t head = 0; head < c.num_heads + c.num_kv_heads; ++head) {
      float* x = row(qkv, i) + head * c.head_dim;
      const TableWeight& gain = head < c.num_heads ? query_gain : key_gain;
      norm_row(x, gain.values.floats(), eps, c.head_dim, x);
    }
  });
}

}  // namespace gnomon::cpu
