#include "cpu/attend.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "cpu/head_rows.h"
#include "test/native/support/every_target.h"

namespace gnomon::cpu {
namespace {

struct Attention {
  int64_t group, head_dim, head_stride;
  std::vector<float> query, keys, values;  // rows of head_stride

  Attention(int64_t group, int64_t head_dim, int64_t tokens, float key_scale)
      : group(group), head_dim(head_dim), head_stride(whole_vectors(head_dim)) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    const auto rows = [&](int64_t count, float scale) {
      std::vector<float> out(count * head_stride, 0.0f);
      for (int64_t i = 0; i < count * head_stride; ++i) {
        if (i % head_stride < head_dim) out[i] = scale * normal(random);
      }
      return out;
    };
    query = rows(group, 1.0f / std::sqrt(static_cast<float>(head_dim)));
    keys = rows(tokens, key_scale);
    values = rows(tokens, 1.0f);
  }

  Run run(int64_t first, int64_t tokens) const {
    return {keys.data() + first * head_stride, values.data() + first * head_stride, tokens};
  }

  std::vector<double> expected() const {
    std::vector<double> out;
    for (int64_t h = 0; h < group; ++h) {
      std::vector<double> sum(head_dim, 0.0), logits;
      double largest = -1e300, total = 0;
      for (size_t row = 0; row < keys.size(); row += head_stride) {
        double logit = 0;
        for (int64_t i = 0; i < head_dim; ++i) {
          logit += static_cast<double>(query[h * head_stride + i]) * keys[row + i];
        }
        logits.push_back(logit);
        largest = std::max(largest, logit);
      }
      for (size_t token = 0; token < logits.size(); ++token) {
        const double weight = std::exp(logits[token] - largest);
        total += weight;
        for (int64_t i = 0; i < head_dim; ++i) sum[i] += weight * values[token * head_stride + i];
      }
      for (const double x : sum) out.push_back(x / total);
    }
    return out;
  }

  /// Each part is a list of runs.
  std::vector<float> result(const std::vector<std::vector<Run>>& parts) const {
    std::vector<float> out(group * head_dim);
    std::vector<std::vector<float>> memory;
    std::vector<PartialAttention> partials;
    for (const std::vector<Run>& runs : parts) {
      float* base = memory.emplace_back(group * (head_stride + 2), 3.0f).data();
      float* largest = base + group * head_stride;
      partials.push_back({base, largest, largest + group});
      attend(query.data(), group, head_stride, runs, partials.back());
    }
    merge_attention(partials, group, head_stride, head_dim, out.data());
    return out;
  }
};

void check_close(const std::vector<float>& actual, const std::vector<double>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    CHECK(std::abs(actual[i] - expected[i]) < 2e-5 + 1e-4 * std::abs(expected[i]));
  }
}

TEST_CASE("attention over one run equals the reference for ragged sizes") {
  for (const int64_t head_dim : {2, 20, 32, 64, 80, 96, 128}) {
    for (const int64_t group : {1, 2, 4, 7, 8}) {
      for (const int64_t tokens : {1, 3, 63, 64, 65, 200}) {
        CAPTURE(head_dim);
        CAPTURE(group);
        CAPTURE(tokens);
        const Attention attention(group, head_dim, tokens, 1.0f);
        const auto expected = attention.expected();
        test::on_every_target(
            [&] { check_close(attention.result({{attention.run(0, tokens)}}), expected); });
      }
    }
  }
}

TEST_CASE("runs and parts may be cut anywhere") {
  const Attention attention(2, 64, 301, 1.0f);
  const auto expected = attention.expected();
  test::on_every_target([&] {
    std::vector<Run> singles;
    for (int64_t token = 0; token < 301; ++token) singles.push_back(attention.run(token, 1));
    check_close(attention.result({singles}), expected);
    check_close(attention.result({{attention.run(0, 7), attention.run(7, 100)},
                                  {attention.run(107, 1)},
                                  {attention.run(108, 193)}}),
                expected);
  });
}

TEST_CASE("large logits neither overflow nor lose the small ones") {
  const Attention attention(2, 64, 500, 200.0f);
  const auto expected = attention.expected();
  test::on_every_target([&] {
    check_close(attention.result({{attention.run(0, 250)}, {attention.run(250, 250)}}), expected);
  });
}

}  // namespace
}  // namespace gnomon::cpu
