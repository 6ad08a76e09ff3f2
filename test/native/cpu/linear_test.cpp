#include "cpu/linear.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "test/native/support/cpu_context.h"
#include "test/native/support/every_target.h"
#include "test/native/support/random.h"
#include "test/native/support/reference_ops.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

// A sum of `in` products of unit normals is off by about sqrt(in) rounding errors of its size.
double tolerance(int64_t in) { return 1e-6 * static_cast<double>(in); }

std::unique_ptr<Weight> load(const std::vector<float>& w, int64_t in, int64_t out,
                             const std::vector<float>& bias = {}) {
  ThreadPool pool(2);
  const HostTensor weight = host_tensor(w, {out, in});
  if (bias.empty()) return cpu::load_linear(pool, {&weight, 1}, {});
  const HostTensor tensor = host_tensor(bias, {out});
  return cpu::load_linear(pool, {&weight, 1}, {&tensor, 1});
}

const cpu::LinearWeight& linear_weight(const std::unique_ptr<Weight>& weight) {
  return static_cast<const cpu::LinearWeight&>(*weight);
}

struct Shape {
  int64_t n, in, out;
};

const Shape kShapes[] = {{1, 1, 1},    {2, 7, 3},    {3, 16, 63},   {5, 33, 64},
                         {6, 64, 65},  {7, 80, 129}, {8, 511, 100}, {13, 512, 17},
                         {95, 48, 70}, {96, 20, 40}, {97, 513, 66}, {130, 1030, 31}};

}  // namespace

TEST_CASE("linear: ragged shapes match the reference on every instruction set") {
  CpuContext context;
  for (const auto& [n, in, out] : kShapes) {
    const auto x = random_floats(n * in, 1 + n), w = random_floats(out * in, 2 + n);
    const auto bias = random_floats(out, 3 + n), before = random_floats(n * out, 4 + n);
    const auto with_bias = load(w, in, out, bias), without = load(w, in, out);
    const auto expected = reference_linear(x, w, bias, n, in, out);
    auto expected_sum = reference_linear(x, w, {}, n, in, out);
    for (int64_t i = 0; i < n * out; ++i) expected_sum[i] += before[i];
    on_every_target([&] {
      CAPTURE(n);
      CAPTURE(in);
      CAPTURE(out);
      auto input = x, product = poison(n * out), sum = before;
      cpu::linear(context, matrix(input, n, in), linear_weight(with_bias), matrix(product, n, out));
      cpu::linear_add(context, matrix(input, n, in), linear_weight(without), matrix(sum, n, out));
      CHECK(worst_error(product, expected, tolerance(in), 1e-6) <= 1);
      CHECK(worst_error(sum, expected_sum, tolerance(in), 1e-6) <= 1);
    });
  }
}

TEST_CASE("linear: a row is bit-identical whatever the batch and the number of threads") {
  constexpr int64_t kRows = 130, kIn = 1100, kOut = 200;
  CpuContext alone(CpuContext::one_head(), 1), team(CpuContext::one_head(), 3);
  auto x = random_floats(kRows * kIn, 11);
  const auto w = random_floats(kOut * kIn, 12), bias = random_floats(kOut, 13);
  const auto before = random_floats(kRows * kOut, 14);
  const auto weight = load(w, kIn, kOut, bias);
  on_every_target([&] {
    auto product = poison(kRows * kOut), sum = before;
    for (int64_t i = 0; i < kRows; ++i) {
      const Matrix in{x.data() + i * kIn, 1, kIn};
      cpu::linear(alone, in, linear_weight(weight), {product.data() + i * kOut, 1, kOut});
      cpu::linear_add(alone, in, linear_weight(weight), {sum.data() + i * kOut, 1, kOut});
    }
    for (const int64_t n : {1, 2, 3, 5, 8, 17, 64, 130}) {
      CAPTURE(n);
      auto batched = poison(n * kOut), batched_sum = before;
      cpu::linear(team, matrix(x, n, kIn), linear_weight(weight), matrix(batched, n, kOut));
      cpu::linear_add(team, matrix(x, n, kIn), linear_weight(weight), matrix(batched_sum, n, kOut));
      CHECK(std::equal(batched.begin(), batched.end(), product.begin()));
      CHECK(std::equal(batched_sum.begin(), batched_sum.begin() + n * kOut, sum.begin()));
      CHECK(
          std::equal(batched_sum.begin() + n * kOut, batched_sum.end(), before.begin() + n * kOut));
    }
  });
}
