#pragma once
// ShadowKV (arXiv 2410.21465, algorithms 1 and 2) for one layer of one sequence, by plain loops in
// double precision: the specification that every backend is held to.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "engine/cache_geometry.h"
#include "engine/config.h"

namespace gnomon::test {

using Doubles = std::vector<double>;

/// What prefill hands to `summarise` for one layer, each (tokens, key_width).
struct PromptTensors {
  std::vector<float> key_pre_rope, key, value;
};

/// Rotates one head (head_dim) to `position`.
inline void rotate_head(const ModelConfig& config, int64_t position, double* head) {
  const std::vector<float> frequency = inverse_frequencies(config.rope, config.head_dim);
  const int64_t half = config.head_dim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double angle = static_cast<float>(position) * frequency[i];  // fp32, see config.h
    const double a = head[i], b = head[half + i];
    head[i] = a * std::cos(angle) - b * std::sin(angle);
    head[half + i] = b * std::cos(angle) + a * std::sin(angle);
  }
}

/// The matrix (rows, width) projected on its `rank` leading right singular vectors, which one-sided
/// Jacobi rotations of its columns find.
inline Doubles best_approximation(std::span<const float> matrix, int64_t width, int64_t rank) {
  const int64_t rows = static_cast<int64_t>(matrix.size()) / width;
  std::vector<Doubles> column(width, Doubles(rows)), basis(width, Doubles(width));
  for (int64_t j = 0; j < width; ++j) {
    for (int64_t i = 0; i < rows; ++i) column[j][i] = matrix[i * width + j];
    basis[j][j] = 1;
  }
  const auto dot = [](const Doubles& a, const Doubles& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  const auto turn = [](Doubles& a, Doubles& b, double c, double s) {
    for (size_t i = 0; i < a.size(); ++i) {
      const double x = a[i], y = b[i];
      a[i] = c * x - s * y;
      b[i] = s * x + c * y;
    }
  };
  for (bool rotated = true; rotated;) {
    rotated = false;
    for (int64_t p = 0; p < width; ++p) {
      for (int64_t q = p + 1; q < width; ++q) {
        const double pp = dot(column[p], column[p]), qq = dot(column[q], column[q]);
        const double pq = dot(column[p], column[q]);
        if (std::abs(pq) <= 1e-12 * std::sqrt(pp * qq) || std::abs(pq) < 1e-20) continue;
        rotated = true;
        const double zeta = (qq - pp) / (2 * pq);
        const double t = (zeta < 0 ? -1 : 1) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
        const double c = 1 / std::sqrt(1 + t * t);
        turn(column[p], column[q], c, c * t);
        turn(basis[p], basis[q], c, c * t);
      }
    }
  }
  std::vector<int64_t> order(width);
  std::iota(order.begin(), order.end(), 0);
  Doubles energy(width);
  for (int64_t j = 0; j < width; ++j) energy[j] = dot(column[j], column[j]);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return energy[a] > energy[b]; });
  Doubles out(rows * width, 0.0);
  for (int64_t k = 0; k < rank; ++k) {
    const Doubles& score = column[order[k]];
    const Doubles& vector = basis[order[k]];
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < width; ++j) out[i * width + j] += score[i] * vector[j];
    }
  }
  return out;
}

class ReferenceLayer {
 public:
  ReferenceLayer(const ModelConfig& config, const CacheGeometry& geometry,
                 const PromptTensors& prompt)
      : config_(config),
        geometry_(geometry),
        key_(prompt.key.begin(), prompt.key.end()),
        value_(prompt.value.begin(), prompt.value.end()) {
    if (geometry.dense) return;
    low_rank_keys_ = best_approximation(prompt.key_pre_rope, config.key_width(), geometry.rank);
    for (int64_t token = 0; token < geometry.prompt_tokens; ++token) {
      for (int64_t g = 0; g < config.num_kv_heads; ++g) {
        rotate_head(config, token, low_rank_keys_.data() + at(token, g));
      }
    }
    for (int64_t g = 0; g < config.num_kv_heads; ++g) find_outliers(g);
  }

  /// One decode step: query and the result (num_heads * head_dim), key and value (key_width).
  Doubles decode(std::span<const float> query, std::span<const float> key,
                 std::span<const float> value) {
    key_.insert(key_.end(), key.begin(), key.end());
    value_.insert(value_.end(), value.begin(), value.end());
    Doubles out;
    for (int64_t head = 0; head < config_.num_heads; ++head) {
      const int64_t g = head / config_.query_group();
      const Doubles attended =
          attend(g, head_of(query, head),
                 geometry_.dense ? std::vector<int64_t>{} : select(g, scores(g, query)));
      out.insert(out.end(), attended.begin(), attended.end());
    }
    return out;
  }

  /// Keys of the low-rank factor after RoPE, (prompt_tokens, key_width).
  const Doubles& low_rank_keys() const { return low_rank_keys_; }
  /// Outlier chunks of a KV head, ascending.
  const std::vector<int64_t>& outliers(int64_t g) const { return outliers_[g]; }
  /// Mean post-RoPE key (head_dim) of a chunk.
  Doubles landmark(int64_t g, int64_t chunk) const {
    Doubles mean(config_.head_dim, 0.0);
    for (int64_t i = 0; i < geometry_.chunk_size; ++i) {
      const double* key = key_.data() + at(chunk * geometry_.chunk_size + i, g);
      for (int64_t j = 0; j < config_.head_dim; ++j) mean[j] += key[j] / geometry_.chunk_size;
    }
    return mean;
  }

  /// Score of every chunk (num_chunks); outliers, which take no part, have -1.
  Doubles scores(int64_t g, std::span<const float> query) const {
    Doubles best(geometry_.num_chunks, -1.0);
    for (int64_t h = 0; h < config_.query_group(); ++h) {
      const std::span<const float> q = head_of(query, g * config_.query_group() + h);
      Doubles weight(geometry_.num_chunks, 0.0);
      double total = 0;
      for (int64_t chunk = 0; chunk < geometry_.num_chunks; ++chunk) {
        if (is_outlier(g, chunk)) continue;
        weight[chunk] = std::exp(logit(q, landmark(g, chunk).data()));
        total += weight[chunk];
      }
      for (int64_t chunk = 0; chunk < geometry_.num_chunks; ++chunk) {
        if (!is_outlier(g, chunk)) best[chunk] = std::max(best[chunk], weight[chunk] / total);
      }
    }
    return best;
  }

  /// The chunks selected for these scores, best first; of equal ones the earlier.
  std::vector<int64_t> select(int64_t g, const Doubles& scores) const {
    std::vector<int64_t> chunks;
    for (int64_t chunk = 0; chunk < geometry_.num_chunks; ++chunk) {
      if (!is_outlier(g, chunk)) chunks.push_back(chunk);
    }
    std::stable_sort(chunks.begin(), chunks.end(),
                     [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
    chunks.resize(geometry_.num_selected_chunks);
    return chunks;
  }

 private:
  int64_t at(int64_t token, int64_t g) const {
    return token * config_.key_width() + g * config_.head_dim;
  }
  std::span<const float> head_of(std::span<const float> query, int64_t head) const {
    return query.subspan(head * config_.head_dim, config_.head_dim);
  }
  double logit(std::span<const float> query, const double* key) const {
    return std::inner_product(query.begin(), query.end(), key, 0.0) / std::sqrt(config_.head_dim);
  }
  bool is_outlier(int64_t g, int64_t chunk) const {
    return std::find(outliers_[g].begin(), outliers_[g].end(), chunk) != outliers_[g].end();
  }

  void find_outliers(int64_t g) {
    Doubles fit(geometry_.num_chunks, 1.0);
    for (int64_t chunk = 1; chunk < geometry_.num_chunks; ++chunk) {
      const Doubles mean = landmark(g, chunk);
      for (int64_t i = 0; i < geometry_.chunk_size && geometry_.chunk_size > 1; ++i) {
        const double* key = key_.data() + at(chunk * geometry_.chunk_size + i, g);
        double cross = 0, means = 0, keys = 0;
        for (int64_t j = 0; j < config_.head_dim; ++j) {
          cross += mean[j] * key[j];
          means += mean[j] * mean[j];
          keys += key[j] * key[j];
        }
        fit[chunk] = std::min(fit[chunk], cross / std::sqrt(means * keys));
      }
    }
    fit[0] = -2;  // always among them
    std::vector<int64_t> chunks(geometry_.num_chunks);
    std::iota(chunks.begin(), chunks.end(), 0);
    std::stable_sort(chunks.begin(), chunks.end(), [&](auto a, auto b) { return fit[a] < fit[b]; });
    chunks.resize(geometry_.num_outlier_chunks);
    std::sort(chunks.begin(), chunks.end());
    outliers_.push_back(chunks);
  }

  /// Softmax attention of one query head over everything dense, or over local window, outliers,
  /// generated tokens and, with low-rank keys, the selected chunks.
  Doubles attend(int64_t g, std::span<const float> query,
                 const std::vector<int64_t>& selected) const {
    const int64_t tokens = static_cast<int64_t>(key_.size()) / config_.key_width();
    Doubles sum(config_.head_dim, 0.0);
    double total = 0;
    for (int64_t token = 0; token < tokens; ++token) {
      const double* key = key_.data() + at(token, g);
      if (!geometry_.dense && token < geometry_.context_tokens()) {
        const int64_t chunk = token / geometry_.chunk_size;
        if (!is_outlier(g, chunk)) {
          if (std::find(selected.begin(), selected.end(), chunk) == selected.end()) continue;
          key = low_rank_keys_.data() + at(token, g);
        }
      }
      const double weight = std::exp(logit(query, key));
      total += weight;
      for (int64_t j = 0; j < config_.head_dim; ++j) {
        sum[j] += weight * value_[at(token, g) + j];
      }
    }
    for (double& x : sum) x /= total;
    return sum;
  }

  ModelConfig config_;
  CacheGeometry geometry_;
  Doubles key_, value_;                         // (prompt and generated tokens, key_width)
  Doubles low_rank_keys_;                       // (prompt_tokens, key_width)
  std::vector<std::vector<int64_t>> outliers_;  // (num_kv_heads)
};

}  // namespace gnomon::test
