#include "cpu/select_chunks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "test/native/support/every_target.h"

namespace gnomon::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<int32_t> selected(std::vector<float> scores, int64_t count) {
  const int64_t num_scores = static_cast<int64_t>(scores.size());
  scores.resize((num_scores + 15) / 16 * 16, -kInfinity);
  std::vector<int32_t> out(count, -1);
  select_chunks(scores.data(), num_scores, count, out.data());
  return out;
}

std::vector<int32_t> by_sorting(const std::vector<float>& scores, int64_t count) {
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return scores[a] > scores[b]; });
  order.resize(count);
  std::sort(order.begin(), order.end());
  return order;
}

TEST_CASE("the largest scores are selected whatever their size, sign and number") {
  test::on_every_target([] {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (const int64_t size : {1, 2, 15, 16, 17, 33, 100, 1000}) {
      for (const float spread : {1e-30f, 1e-3f, 1.0f, 1e20f}) {
        std::vector<float> scores(size);
        for (float& score : scores) score = spread * normal(random) - 2 * spread;
        for (int64_t count = 1; count <= size; count = count * 2 + 1) {
          CHECK(selected(scores, count) == by_sorting(scores, count));
        }
        CHECK(selected(scores, size) == by_sorting(scores, size));
      }
    }
  });
}

TEST_CASE("of equal scores the earlier chunks are selected") {
  test::on_every_target([] {
    std::mt19937 random(2);
    for (int round = 0; round < 50; ++round) {
      std::vector<float> scores(77);
      for (float& score : scores) score = static_cast<float>(random() % 4) - 1.5f;
      for (const int64_t count : {1, 7, 20, 40, 76}) {
        CHECK(selected(scores, count) == by_sorting(scores, count));
      }
    }
    CHECK(selected(std::vector<float>(40, 0.0f), 3) == std::vector<int32_t>{0, 1, 2});
    CHECK(selected(std::vector<float>(40, -kInfinity), 3) == std::vector<int32_t>{0, 1, 2});
    CHECK(selected(std::vector<float>(40, kInfinity), 3) == std::vector<int32_t>{0, 1, 2});
  });
}

}  // namespace
}  // namespace gnomon::cpu
