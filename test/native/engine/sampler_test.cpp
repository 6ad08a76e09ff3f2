#include "engine/sampler.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
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
