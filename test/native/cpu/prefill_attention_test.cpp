#include "cpu/prefill_attention.h"

#include <doctest/doctest.h>

#include "test/native/support/cpu_context.h"
#include "test/native/support/every_target.h"
#include "test/native/support/random.h"
#include "test/native/support/reference_ops.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

// Outputs are means of unit normals; scores of a few units are off by a few 1e-6.
constexpr double kAbsolute = 5e-6, kRelative = 5e-6;

ModelConfig heads(int64_t group, int64_t kv_heads, int64_t head_dim) {
  ModelConfig config;
  config.num_heads = group * kv_heads;
  config.num_kv_heads = kv_heads;
  config.head_dim = head_dim;
  return config;
}

struct Prompt {
  Prompt(const ModelConfig& config, int64_t tokens, uint64_t seed)
      : query(random_floats(tokens * config.query_width(), seed)),
        key(random_floats(tokens * config.key_width(), seed + 1)),
        value(random_floats(tokens * config.key_width(), seed + 2)),
        tokens(tokens),
        query_width(config.query_width()),
        key_width(config.key_width()) {}

  /// Attends in calls of at most `block` rows; rows after a call's last are NaN while it runs.
  std::vector<float> attend(cpu::Context& context, int64_t block) {
    std::vector<float> out = poison(tokens * query_width);
    for (int64_t first = 0; first < tokens; first += block) {
      const int64_t rows = std::min(block, tokens - first);
      std::vector<float> seen_key = poison(tokens * key_width), seen_value = seen_key;
      std::copy_n(key.begin(), (first + rows) * key_width, seen_key.begin());
      std::copy_n(value.begin(), (first + rows) * key_width, seen_value.begin());
      cpu::prefill_attention(context, {query.data() + first * query_width, rows, query_width},
                             first, matrix(seen_key, tokens, key_width),
                             matrix(seen_value, tokens, key_width),
                             {out.data() + first * query_width, rows, query_width});
    }
    return out;
  }

  std::vector<float> query, key, value;
  int64_t tokens, query_width, key_width;
};

}  // namespace

TEST_CASE("prefill_attention: every head_dim and group matches the reference") {
  on_every_target([&] {
    for (const int64_t head_dim : {2, 32, 64, 80, 96, 128}) {
      for (const int64_t group : {1, 2, 4, 7, 8, 71}) {
        CAPTURE(head_dim);
        CAPTURE(group);
        const ModelConfig config = heads(group, group > 8 ? 1 : 2, head_dim);
        CpuContext context(config);
        Prompt prompt(config, 101, 70 + head_dim + group);
        const auto expected = reference_prefill_attention(config, prompt.query, 0, prompt.tokens,
                                                          prompt.key, prompt.value);
        CHECK(worst_error(prompt.attend(context, 512), expected, kAbsolute, kRelative) <= 1);
      }
    }
  });
}

TEST_CASE("prefill_attention: prompt lengths around the tiles match the reference") {
  const ModelConfig config = heads(2, 2, 48);
  CpuContext context(config);
  on_every_target([&] {
    for (const int64_t tokens : {1, 2, 15, 31, 32, 33, 63, 65, 95, 96, 97, 191, 192, 193, 300}) {
      CAPTURE(tokens);
      Prompt prompt(config, tokens, 80 + tokens);
      const auto expected =
          reference_prefill_attention(config, prompt.query, 0, tokens, prompt.key, prompt.value);
      CHECK(worst_error(prompt.attend(context, 512), expected, kAbsolute, kRelative) <= 1);
    }
  });
}

TEST_CASE("prefill_attention: a row is bit-identical however the prompt is cut") {
  const ModelConfig config = heads(3, 2, 40);
  CpuContext context(config), alone(config, 1);
  on_every_target([&] {
    Prompt prompt(config, 250, 90);
    const auto whole = prompt.attend(context, 250);
    CHECK(prompt.attend(alone, 250) == whole);
    for (const int64_t block : {1, 7, 64, 96, 249}) {
      CAPTURE(block);
      CHECK(prompt.attend(context, block) == whole);
    }
  });
}

TEST_CASE("prefill_attention: the output may be the query matrix") {
  const ModelConfig config = heads(4, 1, 64);
  CpuContext context(config);
  Prompt prompt(config, 130, 95);
  const auto expected = prompt.attend(context, 130);
  cpu::prefill_attention(context, matrix(prompt.query, 130, prompt.query_width), 0,
                         matrix(prompt.key, 130, prompt.key_width),
                         matrix(prompt.value, 130, prompt.key_width),
                         matrix(prompt.query, 130, prompt.query_width));
  CHECK(prompt.query == expected);
}

TEST_CASE("prefill_attention: scores far apart and large keep their softmax") {
  const ModelConfig config = heads(1, 1, 16);
  CpuContext context(config);
  Prompt prompt(config, 200, 97);
  for (float& q : prompt.query) q *= 100;
  // The maximum rises along the prompt, by more than 2^x can hold.
  for (int64_t j = 0; j < 200 * 16; ++j) prompt.key[j] *= 0.1f * static_cast<float>(j / 16);
  const auto expected =
      reference_prefill_attention(config, prompt.query, 0, 200, prompt.key, prompt.value);
  on_every_target([&] {
    // Scores of about 2,000 are off by 1e-4 in fp32, so are their exponentials.
    CHECK(worst_error(prompt.attend(context, 512), expected, 2e-3, 2e-3) <= 1);
  });
}
