#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

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

}  // namespace

uint32_t sample(const SamplingOptions& options, std::span<const float> logits, int64_t step) {
  const auto best = std::max_element(logits.begin(), logits.end());
  if (options.temperature <= 0 || options.top_k == 1) {
    return static_cast<uint32_t>(best - logits.begin());
  }

  // Candidates in descending order; as many of them as top_k allows.
  std::vector<uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0u);
  size_t kept = order.size();
  if (options.top_k > 0) kept = std::min<size_t>(kept, options.top_k);
  const auto higher = [&](uint32_t a, uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + kept, order.end(), higher);

  std::vector<double> weight(kept);
  double total = 0;
  for (size_t i = 0; i < kept; ++i) {
    weight[i] = std::exp((static_cast<double>(logits[order[i]]) - *best) / options.temperature);
    total += weight[i];
  }
  if (options.min_p > 0) {
    // The likeliest token weighs 1.
    while (kept > 1 && weight[kept - 1] < options.min_p) total -= weight[--kept];
  }
  if (options.top_p < 1) {
    // The smallest set of most likely tokens whose probability reaches top_p.
    double mass = 0;
    size_t count = 0;
    while (count < kept && mass < options.top_p * total) mass += weight[count++];
    kept = std::max<size_t>(count, 1);
    total = mass;
  }
  double draw = uniform(options.seed, step) * total;
  for (size_t i = 0; i + 1 < kept; ++i) {
    draw -= weight[i];
    if (draw < 0) return order[i];
  }
  return order[kept - 1];
}

}  // namespace gnomon
