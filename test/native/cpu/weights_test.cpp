#include "cpu/weights.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>

#include "cpu/embed.h"
#include "cpu/linear.h"
#include "test/native/support/cpu_context.h"
#include "test/native/support/random.h"
#include "test/native/support/reference_ops.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

/// IEEE 754 half precision, from its definition.
double half_value(uint16_t bits) {
  const int sign = bits >> 15, exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude = exponent == 31  ? (fraction ? NAN : INFINITY)
                           : exponent == 0 ? std::ldexp(fraction, -24)
                                           : std::ldexp(1024 + fraction, exponent - 25);
  return sign ? -magnitude : magnitude;
}

std::vector<float> convert(DType dtype, const std::vector<uint16_t>& bits) {
  std::vector<float> out(bits.size());
  const HostTensor tensor{"t",
                          dtype,
                          {static_cast<int64_t>(bits.size())},
                          reinterpret_cast<const std::byte*>(bits.data())};
  cpu::to_floats(tensor, 0, bits.size(), out.data());
  return out;
}

std::vector<uint16_t> every_16_bits() {
  std::vector<uint16_t> bits(65536);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  return bits;
}

}  // namespace

TEST_CASE("weights: every fp16 value is converted exactly") {
  const auto floats = convert(DType::f16, every_16_bits());
  int wrong = 0;
  for (size_t i = 0; i < floats.size(); ++i) {
    const double expected = half_value(static_cast<uint16_t>(i));
    const bool same = std::isnan(expected) ? std::isnan(floats[i])
                                           : floats[i] == expected &&
                                                 std::signbit(floats[i]) == std::signbit(expected);
    wrong += !same;
  }
  CHECK(wrong == 0);
}

TEST_CASE("weights: every bf16 value is the upper half of its float") {
  const auto floats = convert(DType::bf16, every_16_bits());
  int wrong = 0;
  for (size_t i = 0; i < floats.size(); ++i) {
    wrong += std::bit_cast<uint32_t>(floats[i]) != static_cast<uint32_t>(i) << 16;
  }
  CHECK(wrong == 0);
}

TEST_CASE("weights: stacked weights and biases act like one after the other") {
  constexpr int64_t kIn = 37;
  const std::vector<int64_t> outs{70, 1, 33};
  std::vector<std::vector<float>> weights, biases;
  std::vector<HostTensor> weight_tensors, bias_tensors;
  std::vector<float> all_weights, all_biases;
  for (const int64_t out : outs) {
    weights.push_back(random_floats(out * kIn, 20 + out));
    biases.push_back(random_floats(out, 21 + out));
    all_weights.insert(all_weights.end(), weights.back().begin(), weights.back().end());
    all_biases.insert(all_biases.end(), biases.back().begin(), biases.back().end());
  }
  for (size_t i = 0; i < outs.size(); ++i) {
    weight_tensors.push_back(host_tensor(weights[i], {outs[i], kIn}));
    bias_tensors.push_back(host_tensor(biases[i], {outs[i]}));
  }
  CpuContext context;
  const auto stacked = cpu::load_linear(context.pool(), weight_tensors, bias_tensors);
  auto x = random_floats(3 * kIn, 22), out = poison(3 * 104);
  cpu::linear(context, matrix(x, 3, kIn), static_cast<const cpu::LinearWeight&>(*stacked),
              matrix(out, 3, 104));
  const auto expected = reference_linear(x, all_weights, all_biases, 3, kIn, 104);
  CHECK(worst_error(out, expected, 1e-5, 1e-6) <= 1);
}

TEST_CASE("embed: rows of the table in the order of the tokens") {
  CpuContext context;
  const auto values = random_floats(5 * 3, 30);
  const auto table = cpu::load_table(context.pool(), host_tensor(values, {5, 3}));
  const std::vector<uint32_t> tokens{4, 0, 4, 2};
  auto out = poison(4 * 3);
  cpu::embed(tokens, static_cast<const cpu::TableWeight&>(*table), matrix(out, 4, 3));
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (int64_t j = 0; j < 3; ++j) CHECK(out[i * 3 + j] == values[tokens[i] * 3 + j]);
  }
}
