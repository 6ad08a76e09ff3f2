#include "engine/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "engine/logprobs.h"
#include "engine/penalties.h"

using namespace gnomon;

namespace {

std::map<uint32_t, double> frequencies(const SamplingOptions& options,
                                       const std::vector<float>& logits, int64_t draws) {
  std::map<uint32_t, double> counts;
  for (int64_t i = 0; i < draws; ++i) counts[sample(options, logits, i)] += 1.0 / draws;
  return counts;
}

/// More tokens than one block of sums has, some of them equal, the last 1,500 impossible.
std::vector<float> many_logits(float spread) {
  std::mt19937_64 random(7);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(5000, -std::numeric_limits<float>::infinity());
  for (size_t i = 0; i < 3500; ++i) logits[i] = std::round(normal(random) * 64) / 64;
  return logits;
}

/// Tokens in the order of their logits, and the softmax of all at temperature 1.
struct Sorted {
  std::vector<uint32_t> tokens;
  std::vector<double> probabilities;
};
Sorted sorted(const std::vector<float>& logits) {
  Sorted out;
  out.tokens.resize(logits.size());
  std::iota(out.tokens.begin(), out.tokens.end(), 0u);
  std::ranges::stable_sort(out.tokens, [&](auto a, auto b) { return logits[a] > logits[b]; });
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  for (const uint32_t token : out.tokens) {
    out.probabilities.push_back(std::exp(static_cast<double>(logits[token])) / total);
  }
  return out;
}

}  // namespace

TEST_CASE("sampler: temperature 0 takes the first of equal maxima") {
  CHECK(sample({}, std::vector<float>{0.5f, 2.0f, 2.0f, -1.0f}, 0) == 1);
}

TEST_CASE("sampler: the same seed and step give the same token, other seeds differ") {
  const std::vector<float> logits(1000, 0.0f);
  const SamplingOptions options{.temperature = 1.0, .seed = 42};
  const SamplingOptions other{.temperature = 1.0, .seed = 43};
  int differing = 0;
  for (int64_t step = 0; step < 50; ++step) {
    CHECK(sample(options, logits, step) == sample(options, logits, step));
    differing += sample(options, logits, step) != sample(other, logits, step);
  }
  CHECK(differing > 40);
}

TEST_CASE("sampler: frequencies follow the softmax at the temperature") {
  const std::vector<float> logits{1.0f, 0.0f, 2.0f};
  const auto seen = frequencies({.temperature = 0.5, .seed = 1}, logits, 40000);
  const double total = std::exp(2.0) + std::exp(0.0) + std::exp(4.0);
  CHECK(seen.at(0) == doctest::Approx(std::exp(2.0) / total).epsilon(0.05));
  CHECK(seen.at(1) == doctest::Approx(std::exp(0.0) / total).epsilon(0.15));
  CHECK(seen.at(2) == doctest::Approx(std::exp(4.0) / total).epsilon(0.02));
}

TEST_CASE("sampler: top_k keeps the k most likely tokens") {
  const auto seen = frequencies({.temperature = 5.0, .top_k = 2}, {3, 1, 2, 0}, 2000);
  CHECK(seen.size() == 2);
  CHECK(seen.contains(0));
  CHECK(seen.contains(2));
}

TEST_CASE("sampler: top_p keeps the smallest set that reaches the mass") {
  // Probabilities 0.5, 0.3, 0.2.
  const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  CHECK(frequencies({.temperature = 1.0, .top_p = 0.45}, logits, 500).size() == 1);
  CHECK(frequencies({.temperature = 1.0, .top_p = 0.7}, logits, 2000).size() == 2);
  CHECK(frequencies({.temperature = 1.0, .top_p = 0.95}, logits, 2000).size() == 3);
}

TEST_CASE("sampler: min_p drops tokens less likely than its share of the likeliest") {
  // Probabilities 0.5, 0.3, 0.15, 0.05.
  const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
  CHECK(frequencies({.temperature = 1.0, .min_p = 0.2}, logits, 3000).size() == 3);
  CHECK(frequencies({.temperature = 1.0, .min_p = 0.5}, logits, 3000).size() == 2);
  CHECK(frequencies({.temperature = 1.0, .min_p = 1.0}, logits, 500).size() == 1);
}

TEST_CASE("sampler: of many tokens each is drawn as often as it is likely, impossible ones never") {
  const std::vector<float> logits = many_logits(2);
  const Sorted all = sorted(logits);
  const int64_t draws = 40000;
  const auto seen = frequencies({.temperature = 1.0, .seed = 3}, logits, draws);
  double tail = 1, seen_tail = 1;
  for (size_t i = 0; i < 20; ++i) {
    const double expected = all.probabilities[i];
    const double found = seen.contains(all.tokens[i]) ? seen.at(all.tokens[i]) : 0;
    CHECK(std::abs(found - expected) < 5 * std::sqrt(expected / draws));
    tail -= expected;
    seen_tail -= found;
  }
  CHECK(seen_tail == doctest::Approx(tail).epsilon(0.02));
  CHECK(seen.rbegin()->first < 3500);
}

TEST_CASE("sampler: of many tokens top_p keeps just those that reach the mass") {
  for (const float spread : {0.2f, 3.0f}) {
    const std::vector<float> logits = many_logits(spread);
    const Sorted all = sorted(logits);
    for (const double top_p : {0.0, 0.02, 0.1}) {
      std::set<uint32_t> expected;
      double mass = 0;
      for (size_t i = 0; i == 0 || mass < top_p; ++i) {
        expected.insert(all.tokens[i]);
        mass += all.probabilities[i];
      }
      std::set<uint32_t> seen;
      for (int64_t step = 0; step < 6000; ++step) {
        seen.insert(sample({.temperature = 1.0, .top_p = top_p, .seed = 5}, logits, step));
      }
      CHECK(seen == expected);
    }
  }
}

TEST_CASE("sampler: top_p takes its share of what top_k and min_p leave") {
  // Probabilities 0.4, 0.3, 0.2, 0.1.
  const std::vector<float> logits{std::log(0.4f), std::log(0.3f), std::log(0.2f), std::log(0.1f)};
  const auto kept = [&](const SamplingOptions& options) {
    return frequencies(options, logits, 3000).size();
  };
  CHECK(kept({.temperature = 1.0, .top_p = 0.5, .top_k = 2}) == 1);
  CHECK(kept({.temperature = 1.0, .top_p = 0.6, .top_k = 2}) == 2);
  CHECK(kept({.temperature = 1.0, .top_p = 0.5, .min_p = 0.7}) == 1);
  CHECK(kept({.temperature = 1.0, .top_p = 0.6, .min_p = 0.7}) == 2);
  CHECK(kept({.temperature = 1.0, .top_k = 3, .min_p = 0.7}) == 2);
  CHECK(kept({.temperature = 1.0, .top_k = 100}) == 4);
}

TEST_CASE("penalties: repetition counts the prompt, presence and frequency the answer alone") {
  SamplingOptions options{.repetition_penalty = 2.0};
  const std::vector<uint32_t> prompt{1, 1, 2};
  Penalties repetition(options, prompt);
  repetition.add(3);
  repetition.add(3);
  std::vector<float> logits{1, 1, -1, 4, 1};
  repetition.apply(logits);
  CHECK(logits == std::vector<float>{1, 0.5f, -2, 2, 1});

  options = {.presence_penalty = 0.5, .frequency_penalty = 0.25};
  Penalties counted(options, prompt);
  counted.add(3);
  counted.add(3);
  counted.add(0);
  logits = {1, 1, 1, 1, 1};
  counted.apply(logits);
  CHECK(logits == std::vector<float>{0.25f, 1, 1, 0, 1});
}

TEST_CASE("logprobs: of the token and of the likeliest, of the whole distribution") {
  const std::vector<float> logits{0, 2, 1, 2};
  const double normaliser = std::log(1 + 2 * std::exp(2.0) + std::exp(1.0));
  const TokenLogprobs found = token_logprobs(logits, 2, 2);
  CHECK(found.logprob == doctest::Approx(1 - normaliser));
  REQUIRE(found.top.size() == 2);
  CHECK(found.top[0].token == 1);
  CHECK(found.top[1].token == 3);
  CHECK(found.top[1].logprob == doctest::Approx(2 - normaliser));
  CHECK(token_logprobs(logits, 0, 20).top.size() == 4);
  CHECK(token_logprobs(logits, 0, 0).top.empty());
}
