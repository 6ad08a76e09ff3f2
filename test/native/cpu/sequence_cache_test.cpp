#include "cpu/sequence_cache.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine/error.h"
#include "test/native/support/cache_case.h"

namespace gnomon::cpu {
namespace {

using test::CacheCase;

TEST_CASE("a dense cache takes a key and a value for every token it has room for") {
  CacheCase shape;
  shape.options.kind = CacheKind::full;
  shape.num_layers = 3;
  const CacheBytes bytes = CpuCache::bytes(shape.config(), shape.geometry());
  CHECK(bytes.device == 3 * 2 * 2 * (300 + 8) * 64 * 4);
  CHECK(bytes.host == 0);
}

TEST_CASE("a ShadowKV cache counts the values of the prompt as host bytes") {
  CacheCase shape;
  shape.num_layers = 3;
  const CacheBytes bytes = CpuCache::bytes(shape.config(), shape.geometry());
  CHECK(bytes.host == 3 * 2 * 300 * 64 * 4);
  // 35 chunks: 4 outliers, 31 candidates of which 8 are selected; 16 slots; 20 local tokens.
  const int64_t floats = 24 * 64 + 32 * 64 + (4 + 16) * 8 * 64 + 20 * 64 + 2 * 8 * 64;
  const int64_t integers = 31 + 4 + SlotTable::storage_size(16, 31);
  const int64_t padding = 3 * 64;  // at most: the integer arrays start on cache lines
  const int64_t least = 3 * (280 * 24 * 4 + 2 * (floats + integers) * 4);
  CHECK(bytes.device >= least);
  CHECK(bytes.device <= least + 3 * 2 * padding);
}

TEST_CASE("everything laid out can be written without overlap") {
  CacheCase shape;
  shape.num_layers = 2;
  const CacheGeometry g = shape.geometry();
  CpuCache cache(shape.config(), g);
  const int64_t row = cache.head_stride();
  float next = 0;
  std::vector<std::pair<float*, int64_t>> arrays;
  for (int64_t layer = 0; layer < 2; ++layer) {
    arrays.emplace_back(cache.factor(layer), g.context_tokens() * g.rank);
    for (int64_t kv_head = 0; kv_head < 2; ++kv_head) {
      const SparseHead& head = cache.sparse(layer, kv_head);
      arrays.emplace_back(head.basis, g.rank * row);
      arrays.emplace_back(head.landmarks, 32 * cache.head_dim());
      arrays.emplace_back(head.outlier_keys, g.num_outlier_chunks * g.chunk_size * row);
      arrays.emplace_back(head.local_keys, g.local_tokens() * row);
      arrays.emplace_back(head.slot_keys, g.num_slots * g.chunk_size * row);
      arrays.emplace_back(head.generated_keys, g.max_new_tokens * row);
      arrays.emplace_back(head.generated_values, g.max_new_tokens * row);
      arrays.emplace_back(head.values, g.prompt_tokens * row);
    }
  }
  for (const auto& [data, count] : arrays) std::fill_n(data, count, next++);
  next = 0;
  for (const auto& [data, count] : arrays) {
    CHECK(std::all_of(data, data + count, [&](float x) { return x == next; }));
    ++next;
  }
  CHECK(cache.sparse(1, 1).slots.touch(0) == -1);
}

TEST_CASE("a token without room is an error, never dropped") {
  for (const CacheKind kind : {CacheKind::full, CacheKind::shadowkv}) {
    CacheCase shape;
    shape.options.kind = kind;
    shape.max_new_tokens = 2;
    CpuCache cache(shape.config(), shape.geometry());
    const std::vector<float> row(shape.config().key_width(), 1.0f);
    cache.append(0, row.data(), row.data());
    cache.append(0, row.data(), row.data());
    CHECK(cache.generated_tokens(0) == 2);
    CHECK_THROWS_AS(cache.append(0, row.data(), row.data()), EngineError);
    CHECK(cache.generated_tokens(0) == 2);
  }
}

#if !defined(__SANITIZE_ADDRESS__)  // whose malloc aborts instead of failing
TEST_CASE("a cache larger than memory is refused") {
  CacheCase shape;
  shape.options.kind = CacheKind::full;
  shape.max_new_tokens = int64_t{1} << 50;
  try {
    CpuCache cache(shape.config(), shape.geometry());
    FAIL("no error");
  } catch (const EngineError& error) {
    CHECK(error.code == "out_of_memory");
  }
}
#endif

}  // namespace
}  // namespace gnomon::cpu
