#include "cuda/cut_step.h"

#include <doctest/doctest.h>

using namespace gnomon::cuda;
using Parts = std::vector<std::vector<int64_t>>;

namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

Parts cut(const std::vector<int64_t>& host_bytes, int64_t weight_bytes = kMiB) {
  return cut_step(host_bytes, weight_bytes);
}

}  // namespace

TEST_CASE("cut_step: one part while no values travel, or reading the weights again takes longer") {
  CHECK(cut({0, 0, 0}) == Parts{{0, 1, 2}});
  CHECK(cut({64 * kMiB}) == Parts{{0}});
  CHECK(cut({kMiB, kMiB}, 1024 * kMiB) == Parts{{0, 1}});
}

TEST_CASE("cut_step: halves of the values, and sequences without any where they are fewer") {
  CHECK(cut({kMiB, kMiB, kMiB, kMiB}) == Parts{{0, 1}, {2, 3}});
  CHECK(cut({kMiB, 0, 0, kMiB, 0}) == Parts{{0, 2}, {3, 1, 4}});
  CHECK(cut({4 * kMiB, kMiB, kMiB, kMiB, kMiB, 0, 0}) == Parts{{0, 5, 6}, {1, 2, 3, 4}});
}

TEST_CASE("cut_step: never an empty part, however unequal the values") {
  CHECK(cut({kMiB, 64 * kMiB}) == Parts{{0}, {1}});
  CHECK(cut({64 * kMiB, 0}) == Parts{{0}, {1}});
}
