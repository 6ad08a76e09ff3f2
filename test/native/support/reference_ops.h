#pragma once
// Token-wise operations and prefill attention in double precision and plain loops: the
// specification that every backend is held to.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/config.h"

namespace gnomon::test {

/// x (n, in) w^T (out, in) + bias (out, or empty)
inline std::vector<double> reference_linear(const std::vector<float>& x,
                                            const std::vector<float>& w,
                                            const std::vector<float>& bias, int64_t n, int64_t in,
                                            int64_t out) {
  std::vector<double> result(n * out);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t o = 0; o < out; ++o) {
      double sum = bias.empty() ? 0.0 : bias[o];
      for (int64_t k = 0; k < in; ++k) sum += static_cast<double>(x[i * in + k]) * w[o * in + k];
      result[i * out + o] = sum;
    }
  }
  return result;
}

/// x (n, cols), gain (cols)
inline std::vector<double> reference_rms_norm(const std::vector<float>& x,
                                              const std::vector<float>& gain, double eps,
                                              int64_t n) {
  const int64_t cols = static_cast<int64_t>(gain.size());
  std::vector<double> result(n * cols);
  for (int64_t i = 0; i < n; ++i) {
    double squares = 0;
    for (int64_t j = 0; j < cols; ++j) squares += std::pow(x[i * cols + j], 2.0);
    const double scale = 1.0 / std::sqrt(squares / cols + eps);
    for (int64_t j = 0; j < cols; ++j) result[i * cols + j] = x[i * cols + j] * scale * gain[j];
  }
  return result;
}

/// gate_up (n, 2 * cols)
inline std::vector<double> reference_silu_multiply(const std::vector<float>& gate_up, int64_t n,
                                                   int64_t cols) {
  std::vector<double> result(n * cols);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      const double gate = gate_up[i * 2 * cols + j], up = gate_up[i * 2 * cols + cols + j];
      result[i * cols + j] = gate / (1.0 + std::exp(-gate)) * up;
    }
  }
  return result;
}

/// One head (head_dim) at a position, halves paired as (i, i + head_dim / 2).
inline std::vector<double> reference_rotate(const float* head, int64_t head_dim, int64_t position,
                                            const RopeConfig& rope) {
  const std::vector<float> inverse_frequency = inverse_frequencies(rope, head_dim);
  const int64_t half = head_dim / 2;
  std::vector<double> result(head_dim);
  for (int64_t i = 0; i < half; ++i) {
    const float angle = static_cast<float>(position) * inverse_frequency[i];  // fp32 by definition
    const double cosine = std::cos(static_cast<double>(angle));
    const double sine = std::sin(static_cast<double>(angle));
    result[i] = head[i] * cosine - head[i + half] * sine;
    result[i + half] = head[i + half] * cosine + head[i] * sine;
  }
  return result;
}

/// Causal attention of prompt rows [first, first + rows). query (rows, num_heads * head_dim);
/// key and value (at least first + rows, num_kv_heads * head_dim).
inline std::vector<double> reference_prefill_attention(const ModelConfig& config,
                                                       const std::vector<float>& query,
                                                       int64_t first, int64_t rows,
                                                       const std::vector<float>& key,
                                                       const std::vector<float>& value) {
  const int64_t head_dim = config.head_dim, query_width = config.query_width();
  const int64_t key_width = config.key_width();
  std::vector<double> result(rows * query_width);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t head = 0; head < config.num_heads; ++head) {
      const float* q = &query[i * query_width + head * head_dim];
      double* out = &result[i * query_width + head * head_dim];
      const int64_t column = head / config.query_group() * head_dim;
      std::vector<double> weights(first + i + 1);
      for (size_t j = 0; j < weights.size(); ++j) {
        double dot = 0;
        for (int64_t k = 0; k < head_dim; ++k) {
          dot += static_cast<double>(q[k]) * key[j * key_width + column + k];
        }
        weights[j] = dot / std::sqrt(static_cast<double>(head_dim));
      }
      const double max = *std::max_element(weights.begin(), weights.end());
      double sum = 0;
      for (double& weight : weights) sum += weight = std::exp(weight - max);
      for (size_t j = 0; j < weights.size(); ++j) {
        for (int64_t k = 0; k < head_dim; ++k) {
          out[k] += weights[j] / sum * value[j * key_width + column + k];
        }
      }
    }
  }
  return result;
}

/// The largest |actual - expected| / (absolute + relative * |expected|): within tolerance if at
/// most 1. NaN counts as infinite.
inline double worst_error(const std::vector<float>& actual, const std::vector<double>& expected,
                          double absolute, double relative) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double error =
        std::abs(actual[i] - expected[i]) / (absolute + relative * std::abs(expected[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? HUGE_VAL : error;
  }
  return worst;
}

}  // namespace gnomon::test
