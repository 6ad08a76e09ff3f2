#include "engine/cache_geometry.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>

#include "engine/error.h"

namespace gnomon {
namespace {

CacheOptions options() {
  return {.kind = CacheKind::shadowkv,
          .rank = 32,
          .chunk_size = 8,
          .sparse_budget = 100,
          .outlier_chunks = 3,
          .local_window = 20};
}

std::string refusal(const std::function<void(CacheOptions&)>& change) {
  CacheOptions changed = options();
  change(changed);
  try {
    check_cache_options(changed, 64);
  } catch (const EngineError& error) {
    CHECK(error.code == "invalid_options");
    return error.what();
  }
  return "";
}

TEST_CASE("cache options out of range are refused by name and reason") {
  CHECK(refusal([](auto&) {}) == "");
  CHECK(refusal([](auto& o) { o.rank = 0; }) == "rank is 0; it must be at least 1");
  CHECK(refusal([](auto& o) { o.rank = 65; }).find("rank is 65; ") == 0);
  CHECK(refusal([](auto& o) { o.rank = 64; }) == "");
  CHECK(refusal([](auto& o) { o.chunk_size = 0; }).find("chunk_size is 0; ") == 0);
  CHECK(refusal([](auto& o) { o.sparse_budget = 0; }).find("sparse_budget is 0; ") == 0);
  CHECK(refusal([](auto& o) { o.outlier_chunks = -1; }).find("outlier_chunks is -1; ") == 0);
  CHECK(refusal([](auto& o) { o.local_window = -1; }).find("local_window is -1; ") == 0);
  CHECK(refusal([](auto& o) { o.slots = -1; }).find("slots is -1; ") == 0);
  CHECK(refusal([](auto& o) { o.slots = 12; }).find("slots is 12; ") == 0);
  CHECK(refusal([](auto& o) { o.slots = 13; }) == "");
}

TEST_CASE("knobs of ShadowKV do not matter to a full cache") {
  CHECK(refusal([](auto& o) {
          o.kind = CacheKind::full;
          o.rank = 0;
        }) == "");
}

TEST_CASE("the geometry counts chunks, outliers, selection and slots") {
  const CacheGeometry g = resolve_geometry(options(), 1003, 50);
  CHECK_FALSE(g.dense);
  CHECK(g.prompt_tokens == 1003);
  CHECK(g.max_new_tokens == 50);
  CHECK(g.rank == 32);
  CHECK(g.num_chunks == 122);  // (1003 - 20) / 8
  CHECK(g.context_tokens() == 976);
  CHECK(g.local_tokens() == 27);
  CHECK(g.num_outlier_chunks == 3);
  CHECK(g.num_selected_chunks == 13);  // 100 tokens, rounded up to chunks
  CHECK(g.num_slots == 26);
}

TEST_CASE("the slots lie between the selection and the chunks there are") {
  CacheOptions many = options();
  many.slots = 1 << 20;
  CHECK(resolve_geometry(many, 1003, 0).num_slots == 119);
  many.slots = 14;
  CHECK(resolve_geometry(many, 1003, 0).num_slots == 14);
}

TEST_CASE("a selection is never larger than what there is to select from") {
  const CacheGeometry g = resolve_geometry(options(), 101, 0);  // 10 chunks, 3 of them outliers
  CHECK_FALSE(g.dense);
  CHECK(g.num_selected_chunks == 7);
  CHECK(g.num_slots == 7);
}

TEST_CASE("what sparse attention cannot shorten runs dense") {
  const auto dense = [](int64_t prompt, const std::function<void(CacheOptions&)>& change) {
    CacheOptions changed = options();
    change(changed);
    const CacheGeometry g = resolve_geometry(changed, prompt, 7);
    CHECK(g.prompt_tokens == prompt);
    CHECK(g.max_new_tokens == 7);
    return g.dense;
  };
  CHECK(dense(1003, [](auto& o) { o.kind = CacheKind::full; }));
  CHECK(dense(100, [](auto&) {}));
  CHECK_FALSE(dense(101, [](auto&) {}));
  CHECK(dense(1003, [](auto& o) { o.local_window = 1003; }));
  CHECK(dense(1003, [](auto& o) { o.chunk_size = 984; }));
  CHECK(dense(1003, [](auto& o) { o.outlier_chunks = 122; }));
  CHECK(dense(1003, [](auto& o) {
    o.local_window = o.chunk_size = o.sparse_budget = std::numeric_limits<int64_t>::max();
  }));
}

TEST_CASE("every small combination keeps its invariants") {
  for (int64_t prompt = 1; prompt < 60; ++prompt) {
    for (const int64_t chunk : {1, 3, 8}) {
      for (const int64_t budget : {1, 9, 30}) {
        for (const int64_t outliers : {0, 1, 5}) {
          for (const int64_t local : {0, 4, 17}) {
            const CacheGeometry g = resolve_geometry({.rank = 2,
                                                      .chunk_size = chunk,
                                                      .sparse_budget = budget,
                                                      .outlier_chunks = outliers,
                                                      .local_window = local},
                                                     prompt, 1);
            if (g.dense) continue;
            CHECK(g.local_tokens() >= local);
            CHECK(g.local_tokens() < local + chunk);
            CHECK(g.num_selected_chunks >= 1);
            CHECK(g.num_selected_chunks <= g.num_chunks - g.num_outlier_chunks);
            CHECK(g.num_slots >= g.num_selected_chunks);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace gnomon

TEST_CASE("default rank: follows the key width, within what narrow keys and the GPU allow") {
  CHECK(gnomon::default_rank(1024) == 160);  // Llama 3: the paper's
  CHECK(gnomon::default_rank(512) == 160);   // GLM-4, Yi, Qwen2: likewise
  CHECK(gnomon::default_rank(3072) == 256);  // Phi-3
  CHECK(gnomon::default_rank(128) == 96);    // the bundled model
  CHECK(gnomon::default_rank(256) == 160);
  CHECK(gnomon::default_rank(16) == 8);
  CHECK(gnomon::default_rank(2) == 1);
  for (int64_t width = 2; width <= 8192; width += 2) {
    CHECK(gnomon::default_rank(width) >= 1);
    CHECK(gnomon::default_rank(width) <= std::min<int64_t>(width, 256));
  }
}
