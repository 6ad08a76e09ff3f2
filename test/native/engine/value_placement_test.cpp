#include "engine/value_placement.h"

#include <doctest/doctest.h>

namespace gnomon {
namespace {

// A sequence of 10 with its values on the device, or of 3 with 7 more on the host.
constexpr CacheBytes kOnDevice{10, 0}, kOnHost{3, 7};

/// How many sequences alike are admitted, and how many of them have their values on the host.
std::pair<int, int> fill(CacheBytes capacity) {
  CacheBytes used{};
  int admitted = 0, on_host = 0;
  while (true) {
    const bool host = prefers_host(kOnDevice, kOnHost, used, capacity);
    const CacheBytes need = host ? kOnHost : kOnDevice;
    if (used.device + need.device > capacity.device || used.host + need.host > capacity.host) {
      return {admitted, on_host};
    }
    used.device += need.device;
    used.host += need.host;
    ++admitted;
    on_host += host;
  }
}

TEST_CASE("values stay in device memory where the host has no room") {
  CHECK(fill({100, 0}) == std::pair(10, 0));
  CHECK(fill({100, 6}) == std::pair(10, 0));
}

TEST_CASE("device memory comes first, but keeps room for every sequence the host can help") {
  // Four on the host take 12 of the device; of the other 88, eight fit whole.
  CHECK(fill({100, 28}) == std::pair(12, 4));
  CHECK(fill({100, 31}) == std::pair(12, 4));
}

TEST_CASE("all values go to the host where the device is short") {
  CHECK(fill({30, 700}) == std::pair(10, 10));
  CHECK(fill({9, 700}) == std::pair(3, 3));
}

}  // namespace
}  // namespace gnomon
