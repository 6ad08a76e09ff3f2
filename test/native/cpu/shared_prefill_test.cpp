// What a sequence that shared its prefill is left with is, bit for bit, what it would have alone.

#include <doctest/doctest.h>

#include <cstring>

#include "cpu/sequence_cache.h"
#include "engine/prefill.h"
#include "test/native/support/tiny_model.h"

using namespace gnomon;
using namespace gnomon::test;
using cpu::CpuCache;

namespace {

struct Setup {
  TinyModel tiny{tiny_config()};
  std::unique_ptr<Backend> backend = make_cpu_backend(tiny.config(), {.threads = 2});
  Model model{tiny.config(), tiny.load(*backend), *backend, 8};

  std::unique_ptr<CpuCache> cache(const CacheOptions& options, int64_t prompt) {
    return std::make_unique<CpuCache>(tiny.config(), resolve_geometry(options, prompt, 4));
  }
  std::vector<float> logits() {
    const auto all = model.logits();
    return {all.begin(), all.end()};
  }
};

bool same(const float* a, const float* b, int64_t count) {
  return std::memcmp(a, b, count * sizeof(float)) == 0;
}

/// Everything that prefill stores.
void check_equal(CpuCache& a, CpuCache& b, const ModelConfig& config) {
  const CacheGeometry& g = a.geometry();
  REQUIRE(g.dense == b.geometry().dense);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    if (!g.dense) CHECK(same(a.factor(layer), b.factor(layer), g.context_tokens() * g.rank));
    for (int64_t head = 0; head < config.num_kv_heads; ++head) {
      CAPTURE(layer);
      CAPTURE(head);
      const int64_t stride = a.head_stride(), prompt = g.prompt_tokens * stride;
      if (g.dense) {
        CHECK(same(a.dense(layer, head).keys, b.dense(layer, head).keys, prompt));
        CHECK(same(a.dense(layer, head).values, b.dense(layer, head).values, prompt));
        continue;
      }
      const cpu::SparseHead &x = a.sparse(layer, head), &y = b.sparse(layer, head);
      CHECK(same(x.basis, y.basis, g.rank * stride));
      CHECK(std::equal(x.outliers, x.outliers + g.num_outlier_chunks, y.outliers));
      CHECK(std::equal(x.candidates, x.candidates + a.num_candidates(), y.candidates));
      CHECK(same(x.landmarks, y.landmarks, a.num_candidates() / 16 * 16 * a.head_dim()));
      CHECK(same(x.outlier_keys, y.outlier_keys, g.num_outlier_chunks * g.chunk_size * stride));
      CHECK(same(x.local_keys, y.local_keys, g.local_tokens() * stride));
      CHECK(same(x.values, y.values, prompt));
    }
  }
}

CacheOptions sparse() {
  CacheOptions options;
  options.rank = 24;
  options.chunk_size = 4;
  options.sparse_budget = 600;
  options.outlier_chunks = 2;
  options.local_window = 8;
  return options;
}

CacheOptions full() {
  CacheOptions options;
  options.kind = CacheKind::full;
  return options;
}

}  // namespace

TEST_CASE("shared prefill: state and logits of every member are those of a prefill alone") {
  Setup setup;
  const int64_t shared = 577;
  const std::vector<uint32_t> document = random_tokens(shared, 3);
  std::vector<std::vector<uint32_t>> prompts;
  // One token more than the shared ones, a few, across the sparse budget of 600, over a block.
  for (const int64_t own : {1, 7, 23, 24, 700}) {
    prompts.push_back(document);
    const std::vector<uint32_t> rest = random_tokens(own, 100 + own);
    prompts.back().insert(prompts.back().end(), rest.begin(), rest.end());
  }
  for (const CacheOptions& options : {full(), sparse()}) {
    CAPTURE(static_cast<int>(options.kind));
    std::vector<std::unique_ptr<CpuCache>> caches;
    std::vector<PrefillMember> members;
    for (const auto& prompt : prompts) {
      caches.push_back(setup.cache(options, static_cast<int64_t>(prompt.size())));
      members.push_back({prompt, caches.back().get()});
    }
    if (options.kind == CacheKind::shadowkv) {
      REQUIRE(caches[2]->geometry().dense);
      REQUIRE_FALSE(caches[3]->geometry().dense);
    }
    Prefill together(setup.model, members, shared);
    CHECK(together.shared_tokens() == shared);
    double before = 0;
    while (!together.step()) {
      CHECK(together.share_done() >= before);
      before = together.share_done();
    }
    CHECK(before > 0.99);
    const std::vector<float> logits = setup.logits();
    const int64_t vocab = setup.tiny.config().vocab_size;
    REQUIRE(logits.size() == prompts.size() * vocab);
    for (size_t i = 0; i < prompts.size(); ++i) {
      CAPTURE(i);
      const auto cache = setup.cache(options, static_cast<int64_t>(prompts[i].size()));
      Prefill alone(setup.model, prompts[i], *cache);
      CHECK(alone.shared_tokens() == 0);
      while (!alone.step()) {
      }
      CHECK(same(setup.logits().data(), logits.data() + i * vocab, vocab));
      check_equal(*caches[i], *cache, setup.tiny.config());
    }
  }
}

TEST_CASE("shared prefill: the workspace is what the members need together, and less than alone") {
  Setup setup;
  const ModelConfig& c = setup.tiny.config();
  const std::vector<int64_t> prompts{500, 520, 510};
  const int64_t rows = 490 + 10 + 30 + 20;
  CHECK(Prefill::workspace_bytes(c, *setup.backend, prompts, 490) ==
        4 * (rows * (c.hidden_size + c.query_width()) + 3 * 520 * c.key_width()));
  CHECK(Prefill::workspace_bytes(c, *setup.backend, std::vector<int64_t>{500}, 0) ==
        Prefill::workspace_bytes(c, *setup.backend, 500));
}
