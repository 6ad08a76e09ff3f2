#include <doctest/doctest.h>

#include "cpu/rms_norm.h"
#include "cpu/silu_multiply.h"
#include "cpu/split_and_rotate.h"
#include "test/native/support/cpu_context.h"
#include "test/native/support/every_target.h"
#include "test/native/support/random.h"
#include "test/native/support/reference_ops.h"

using namespace gnomon;
using namespace gnomon::test;

TEST_CASE("rms_norm: ragged shapes match the reference, in place too") {
  CpuContext context;
  for (const int64_t n : {1, 3, 200}) {
    for (const int64_t cols : {1, 15, 16, 17, 80, 256, 1000}) {
      CAPTURE(n);
      CAPTURE(cols);
      auto x = random_floats(n * cols, 40 + cols), out = poison(n * cols);
      const auto gain = random_floats(cols, 41);
      const auto weight = cpu::load_table(context.pool(), host_tensor(gain, {cols}));
      const auto& table = static_cast<const cpu::TableWeight&>(*weight);
      const auto expected = reference_rms_norm(x, gain, 1e-5, n);
      cpu::rms_norm(context, matrix(x, n, cols), table, 1e-5, matrix(out, n, cols));
      CHECK(worst_error(out, expected, 1e-7, 1e-6) <= 1);
      cpu::rms_norm(context, matrix(x, n, cols), table, 1e-5, matrix(x, n, cols));
      CHECK(x == out);
    }
  }
}

TEST_CASE("rms_norm: a row of zeros stays zero") {
  CpuContext context;
  std::vector<float> x(20), gain(20, 2.0f);
  auto out = poison(20);
  const auto weight = cpu::load_table(context.pool(), host_tensor(gain, {20}));
  cpu::rms_norm(context, matrix(x, 1, 20), static_cast<const cpu::TableWeight&>(*weight), 1e-5,
                matrix(out, 1, 20));
  CHECK(out == x);
}

TEST_CASE("silu_multiply: ragged shapes match the reference on every instruction set") {
  CpuContext context;
  on_every_target([&] {
    for (const int64_t n : {1, 3, 50}) {
      for (const int64_t cols : {1, 7, 15, 16, 17, 80, 768}) {
        CAPTURE(n);
        CAPTURE(cols);
        auto gate_up = random_floats(n * 2 * cols, 50 + cols, 4.0f), out = poison(n * cols);
        cpu::silu_multiply(context, matrix(gate_up, n, 2 * cols), matrix(out, n, cols));
        const auto expected = reference_silu_multiply(gate_up, n, cols);
        CHECK(worst_error(out, expected, 1e-7, 3e-6) <= 1);
      }
    }
  });
}

TEST_CASE("silu_multiply: extreme gates neither overflow nor become NaN") {
  CpuContext context;
  const std::vector<float> gates{-1e30f, -1000, -200, -90, -88, -50, 0, 50, 88, 200, 1000, 1e30f};
  const int64_t cols = static_cast<int64_t>(gates.size());
  on_every_target([&] {
    auto gate_up = gates, out = poison(cols);
    gate_up.resize(2 * cols, 1.0f);
    cpu::silu_multiply(context, matrix(gate_up, 1, 2 * cols), matrix(out, 1, cols));
    CHECK(worst_error(out, reference_silu_multiply(gate_up, 1, cols), 2e-8, 1e-5) <= 1);
  });
}

TEST_CASE("split_and_rotate: splits every head and rotates queries and keys by their positions") {
  for (const auto& [heads, kv_heads, head_dim] :
       {std::array<int64_t, 3>{1, 1, 2}, {4, 2, 64}, {7, 1, 80}, {6, 3, 10}}) {
    ModelConfig config;
    config.num_heads = heads;
    config.num_kv_heads = kv_heads;
    config.head_dim = head_dim;
    CpuContext context(config);
    const std::vector<int32_t> positions{0, 1, 517, 3, 20000};
    const int64_t n = 5, query_width = config.query_width(), key_width = config.key_width();
    const int64_t width = query_width + 2 * key_width;
    auto qkv = random_floats(n * width, 60 + heads);
    auto query = poison(n * query_width), pre_rope = poison(n * key_width);
    auto key = poison(n * key_width), value = poison(n * key_width);
    cpu::split_and_rotate(context, matrix(qkv, n, width), positions, matrix(query, n, query_width),
                          matrix(pre_rope, n, key_width), matrix(key, n, key_width),
                          matrix(value, n, key_width));

    std::vector<double> expected_query, expected_key;
    std::vector<float> expected_pre_rope, expected_value;
    for (int64_t i = 0; i < n; ++i) {
      const float* token = &qkv[i * width];
      for (int64_t head = 0; head < heads + kv_heads; ++head) {
        const auto rotated =
            reference_rotate(token + head * head_dim, head_dim, positions[i], config.rope);
        auto& expected = head < heads ? expected_query : expected_key;
        expected.insert(expected.end(), rotated.begin(), rotated.end());
      }
      const float* k = token + query_width;
      expected_pre_rope.insert(expected_pre_rope.end(), k, k + key_width);
      expected_value.insert(expected_value.end(), k + key_width, k + 2 * key_width);
    }
    CHECK(worst_error(query, expected_query, 1e-6, 1e-6) <= 1);
    CHECK(worst_error(key, expected_key, 1e-6, 1e-6) <= 1);
    CHECK(pre_rope == expected_pre_rope);
    CHECK(value == expected_value);

    auto key_again = poison(n * key_width);
    cpu::split_and_rotate(context, matrix(qkv, n, width), positions, matrix(query, n, query_width),
                          {}, matrix(key_again, n, key_width), matrix(value, n, key_width));
    CHECK(key_again == key);
  }
}
