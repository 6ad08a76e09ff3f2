#include "cpu/summarise.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "test/native/support/cache_case.h"
#include "test/native/support/every_target.h"

namespace gnomon::cpu {
namespace {

using test::CacheCase;

/// Rows (head_stride) of one head equal tokens [first, first + count) of source (_, key_width).
void check_copy(const CpuCache& cache, const float* rows, const std::vector<float>& source,
                int64_t key_width, int64_t kv_head, int64_t first, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < cache.head_stride(); ++j) {
      const int64_t at = (first + i) * key_width + kv_head * cache.head_dim() + j;
      REQUIRE(rows[i * cache.head_stride() + j] == (j < cache.head_dim() ? source[at] : 0.0f));
    }
  }
}

void check_summary(const CacheCase& shape) {
  const ModelConfig config = shape.config();
  const CacheGeometry g = shape.geometry();
  REQUIRE_FALSE(g.dense);
  test::RandomSequence sequence(config, g.prompt_tokens, 21);
  test::CpuSide side(config);
  const auto cache = side.summarise(g, sequence);
  const int64_t width = config.key_width(), stride = cache->head_stride();
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const test::PromptTensors& prompt = sequence.prompt(layer);
    const test::ReferenceLayer reference(config, g, prompt);
    for (int64_t kv_head = 0; kv_head < config.num_kv_heads; ++kv_head) {
      const SparseHead& head = cache->sparse(layer, kv_head);
      check_copy(*cache, head.values, prompt.value, width, kv_head, 0, g.prompt_tokens);
      check_copy(*cache, head.local_keys, prompt.key, width, kv_head, g.context_tokens(),
                 g.local_tokens());
      const std::vector<int64_t> outliers(head.outliers, head.outliers + g.num_outlier_chunks);
      REQUIRE(outliers == reference.outliers(kv_head));
      for (int64_t i = 0; i < g.num_outlier_chunks; ++i) {
        check_copy(*cache, head.outlier_keys + i * g.chunk_size * stride, prompt.key, width,
                   kv_head, outliers[i] * g.chunk_size, g.chunk_size);
      }
      int64_t candidate = 0;
      for (int64_t chunk = 0; chunk < g.num_chunks; ++chunk) {
        if (std::find(outliers.begin(), outliers.end(), chunk) != outliers.end()) continue;
        REQUIRE(head.candidates[candidate] == chunk);
        const test::Doubles landmark = reference.landmark(kv_head, chunk);
        for (int64_t j = 0; j < config.head_dim; ++j) {
          const int64_t at = (candidate / 16 * config.head_dim + j) * 16 + candidate % 16;
          CHECK(std::abs(head.landmarks[at] - landmark[j]) < 1e-5);
        }
        ++candidate;
      }
      CHECK(candidate == cache->num_candidates());
    }
    // Every context token can be reconstructed.
    side.rope.reserve(g.prompt_tokens);
    for (int64_t token = 0; token < g.context_tokens(); ++token) {
      for (int64_t kv_head = 0; kv_head < config.num_kv_heads; ++kv_head) {
        std::vector<float> key(config.head_dim, 0.0f);
        for (int64_t k = 0; k < g.rank; ++k) {
          for (int64_t j = 0; j < config.head_dim; ++j) {
            key[j] += cache->factor(layer)[token * g.rank + k] *
                      cache->sparse(layer, kv_head).basis[k * stride + j];
          }
        }
        rotate(key.data(), side.rope.at(token), config.head_dim / 2);
        for (int64_t j = 0; j < config.head_dim; ++j) {
          CHECK(std::abs(key[j] -
                         reference.low_rank_keys()[token * width + kv_head * config.head_dim + j]) <
                1e-3);
        }
      }
    }
  }
}

TEST_CASE("a prompt is summarised as the paper says, whatever its shape") {
  CacheCase usual;
  usual.num_layers = 2;
  CacheCase narrow;  // columns and rows that fill no vector
  narrow.head_dim = 20;
  narrow.num_kv_heads = 3;
  narrow.prompt_tokens = 211;
  narrow.options.chunk_size = 5;
  narrow.options.rank = 13;
  CacheCase single;  // a chunk of one token is its own landmark
  single.head_dim = 32;
  single.prompt_tokens = 150;
  single.options.chunk_size = 1;
  CacheCase wide;
  wide.head_dim = 128;
  wide.num_kv_heads = 1;
  wide.options.chunk_size = 16;
  wide.options.rank = 128;
  wide.options.outlier_chunks = 0;
  wide.options.local_window = 0;
  for (const CacheCase& shape : {usual, narrow, single, wide}) {
    CAPTURE(shape.head_dim);
    test::on_every_target([&] { check_summary(shape); });
  }
}

TEST_CASE("a dense cache keeps every key and value of the prompt") {
  CacheCase shape;
  shape.options.kind = CacheKind::full;
  shape.head_dim = 20;
  shape.num_layers = 2;
  shape.prompt_tokens = 1030;
  const ModelConfig config = shape.config();
  test::RandomSequence sequence(config, shape.prompt_tokens, 5);
  test::CpuSide side(config);
  const auto cache = side.summarise(shape.geometry(), sequence);
  for (int64_t layer = 0; layer < 2; ++layer) {
    for (int64_t kv_head = 0; kv_head < config.num_kv_heads; ++kv_head) {
      const test::PromptTensors& prompt = sequence.prompt(layer);
      check_copy(*cache, cache->dense(layer, kv_head).keys, prompt.key, config.key_width(), kv_head,
                 0, shape.prompt_tokens);
      check_copy(*cache, cache->dense(layer, kv_head).values, prompt.value, config.key_width(),
                 kv_head, 0, shape.prompt_tokens);
    }
  }
}

}  // namespace
}  // namespace gnomon::cpu
