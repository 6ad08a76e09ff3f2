#include "engine/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "test/native/support/every_target.h"

using namespace gnomon;

namespace {

std::vector<float> random_logits(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(-3, 6);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

}  // namespace

TEST_CASE("softmax: weights and their sums agree with double precision, whatever the size") {
  test::on_every_target([] {
    for (const size_t count : {1, 7, 33, 1000, 1024, 1025, 5003}) {
      for (const double temperature : {0.05, 1.0, 7.0}) {
        const std::vector<float> logits = random_logits(count, count);
        std::vector<float> weights(count, NAN);
        const auto sums = softmax_weights(logits, temperature, 0, weights);
        REQUIRE(sums.size() == (count + kSoftmaxBlock - 1) / kSoftmaxBlock);
        const double largest = *std::ranges::max_element(logits);
        for (size_t block = 0; block < sums.size(); ++block) {
          double sum = 0;
          for (size_t i = block * kSoftmaxBlock; i < std::min(count, (block + 1) * kSoftmaxBlock);
               ++i) {
            const double expected = std::exp((logits[i] - largest) / temperature);
            CHECK(std::abs(weights[i] - expected) <= 1e-5 * expected + 1e-13);
            sum += weights[i];
          }
          CHECK(sums[block] == doctest::Approx(sum).epsilon(1e-5));
        }
        CHECK(*std::ranges::max_element(weights) == 1.0f);
      }
    }
  });
}

TEST_CASE("softmax: what weighs less than asked, or is -inf, weighs nothing") {
  test::on_every_target([] {
    std::vector<float> logits = random_logits(100, 1);
    logits[3] = logits[99] = -std::numeric_limits<float>::infinity();
    logits[50] = 30;
    logits[51] = 30 + std::log(0.25f);
    logits[52] = 30 + std::log(0.05f);
    std::vector<float> weights(logits.size(), NAN);
    const auto sums = softmax_weights(logits, 1, 0.1, weights);
    CHECK(weights[50] == 1.0f);
    CHECK(weights[51] == doctest::Approx(0.25));
    CHECK(std::accumulate(weights.begin(), weights.end(), 0.0) == doctest::Approx(1.25));
    CHECK(sums.front() == doctest::Approx(1.25));
    softmax_weights(logits, 1e-300, 0, weights);
    CHECK(weights[50] == 1.0f);
    CHECK(std::accumulate(weights.begin(), weights.end(), 0.0) == 1.0);
  });
}
