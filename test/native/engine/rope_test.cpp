#include <doctest/doctest.h>

#include "engine/config.h"

using namespace gnomon;

namespace {

void check_close(const std::vector<float>& actual, const std::vector<double>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    CHECK(actual[i] == doctest::Approx(expected[i]).epsilon(1e-6));
  }
}

RopeConfig llama3(double theta) {
  return {.theta = theta,
          .scaling = RopeConfig::Scaling::llama3,
          .factor = 8.0,
          .low_freq_factor = 1.0,
          .high_freq_factor = 4.0,
          .original_max_position_embeddings = 8192.0};
}

}  // namespace

TEST_CASE("rope: frequencies fall from 1 by powers of theta") {
  check_close(inverse_frequencies({.theta = 10000.0}, 8), {1.0, 0.1, 0.01, 0.001});
  check_close(inverse_frequencies({.theta = 1e6}, 2), {1.0});
}

TEST_CASE("rope: linear scaling divides every frequency") {
  const RopeConfig rope{.scaling = RopeConfig::Scaling::linear, .factor = 4.0};
  check_close(inverse_frequencies(rope, 8), {0.25, 0.025, 0.0025, 0.00025});
}

TEST_CASE("rope: llama3 scaling keeps short wavelengths and divides long ones") {
  // Wavelengths 6.28, 628, 62832 and 6.3e6; 2048 and below are kept, above 8192 divided by 8.
  check_close(inverse_frequencies(llama3(1e8), 8), {1.0, 0.01, 0.0001 / 8, 0.000001 / 8});
}

TEST_CASE("rope: llama3 scaling blends in between") {
  // Wavelength 6283.185 of frequency 0.001: smooth = (8192 / 6283.185 - 1) / 3 = 0.1012658, so
  // 0.8987342 * 0.001 / 8 + 0.1012658 * 0.001.
  check_close(inverse_frequencies(llama3(1e4), 8), {1.0, 0.1, 0.01, 0.0002136075});
}

TEST_CASE("rope: every frequency of Llama 3.1 lies between the unscaled one and an eighth of it") {
  const auto scaled = inverse_frequencies(llama3(500000.0), 128);
  const auto plain = inverse_frequencies({.theta = 500000.0}, 128);
  REQUIRE(scaled.size() == 64);
  for (size_t i = 0; i < 64; ++i) {
    CAPTURE(i);
    CHECK(scaled[i] <= plain[i]);
    CHECK(scaled[i] >= plain[i] / 8);
    if (i > 0) CHECK(scaled[i] < scaled[i - 1]);
  }
  CHECK(scaled[28] == plain[28]);      // wavelength 1956
  CHECK(scaled[36] == plain[36] / 8);  // wavelength 10089
}
