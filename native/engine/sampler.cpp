#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/softmax.h"

namespace gnomon {

namespace {

/// SplitMix64 (Steele, Lea, Flood 2014) of a counter: a stateless stream per seed.
double uniform(uint64_t seed, uint64_t step) {
  uint64_t z = seed + (step + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

double sum_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// Tokens that may be drawn, and their weights.
struct Candidates {
  std::vector<uint32_t> tokens;
  std::vector<double> weights;

  void add(uint32_t token, double weight) {
    tokens.push_back(token);
    weights.push_back(weight);
  }
};

/// `point` is in [0, 1).
uint32_t draw(const Candidates& candidates, double point) {
  double left = point * sum_of(candidates.weights);
  for (size_t i = 0; i + 1 < candidates.tokens.size(); ++i) {
    left -= candidates.weights[i];
    if (left < 0) return candidates.tokens[i];
  }
  return candidates.tokens.back();
}

/// Out of all tokens: finds the block first, then the token. `sums` are those of softmax_weights.
uint32_t draw(std::span<const float> weights, std::span<const double> sums, double point) {
  double left = point * sum_of(sums);
  size_t last_block = sums.size() - 1;
  while (sums[last_block] == 0) --last_block;
  size_t block = 0;
  while (block < last_block && left >= sums[block]) left -= sums[block++];
  size_t last = 0;
  for (size_t i = block * kSoftmaxBlock; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    left -= weights[i];
    last = i;
    if (left < 0) break;
  }
  return static_cast<uint32_t>(last);
}

/// Weights by their size, in steps of 1/32: the first bits of a float, and nothing weighs more
/// than 1.
constexpr int kBinShift = 18;
uint32_t bin_of(float weight) { return std::bit_cast<uint32_t>(weight) >> kBinShift; }

/// The smallest set of likeliest tokens whose share of the sum reaches top_p. Only the bin where
/// the set ends is sorted.
Candidates nucleus(std::span<const float> weights, double total, double top_p) {
  const double enough = top_p * total;
  std::vector<double> bins(bin_of(1) + 1);
  for (const float weight : weights) bins[bin_of(weight)] += weight;
  uint32_t edge = bin_of(1);
  double mass = 0;
  while (edge > 0 && mass + bins[edge] < enough) mass += bins[edge--];

  Candidates kept;
  std::vector<uint32_t> at_edge;
  for (uint32_t token = 0; token < weights.size(); ++token) {
    const uint32_t bin = bin_of(weights[token]);
    if (bin > edge) kept.add(token, weights[token]);
    if (bin == edge && weights[token] > 0) at_edge.push_back(token);
  }
  std::ranges::sort(at_edge, [&](uint32_t a, uint32_t b) {
    return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
  });
  for (const uint32_t token : at_edge) {
    if (!kept.tokens.empty() && mass >= enough) break;
    kept.add(token, weights[token]);
    mass += weights[token];
  }
  return kept;
}

/// What top_k, then min_p, then top_p leave, in descending order.
Candidates likeliest(const SamplingOptions& options, std::span<const float> logits) {
  std::vector<uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto count = std::min<size_t>(options.top_k, order.size());
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](uint32_t a, uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
  Candidates all;
  for (size_t i = 0; i < count; ++i) {
    const double power = static_cast<double>(logits[order[i]]) - logits[order[0]];
    const double weight = std::exp(power / options.temperature);
    if (i > 0 && weight < options.min_p) break;  // the likeliest weighs 1
    all.add(order[i], weight);
  }
  if (options.top_p >= 1) return all;
  const double enough = options.top_p * sum_of(all.weights);
  Candidates kept;
  double mass = 0;
  for (size_t i = 0; i < all.tokens.size() && (i == 0 || mass < enough); ++i) {
    kept.add(all.tokens[i], all.weights[i]);
    mass += all.weights[i];
  }
  return kept;
}

}  // namespace

uint32_t sample(const SamplingOptions& options, std::span<const float> logits, int64_t step) {
  if (options.temperature <= 0 || options.top_k == 1) {
    return static_cast<uint32_t>(std::ranges::max_element(logits) - logits.begin());
  }
  const double point = uniform(options.seed, step);
  if (options.top_k > 0) return draw(likeliest(options, logits), point);
  // Nothing is sorted that need not be: the vocabulary may have 100,000 tokens and more.
  std::vector<float> weights(logits.size());
  const std::vector<double> sums =
      softmax_weights(logits, options.temperature, options.min_p, weights);
  if (options.top_p >= 1) return draw(weights, sums, point);
  return draw(nucleus(weights, sum_of(sums), options.top_p), point);
}

}  // namespace gnomon
