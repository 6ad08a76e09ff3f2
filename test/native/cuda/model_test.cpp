// Whole forward passes of random models on the GPU, against a double-precision reference.

#include "engine/model.h"

#include <algorithm>

#include "cuda/library.h"
#include "engine/prefill.h"
#include "test/native/cuda/device.h"
#include "test/native/support/tiny_model.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

// Of activations over three layers of sharp attention.
constexpr double kTolerance = tolerance(0.05, 1e-3);

ModelConfig config_of(int64_t head_dim, int64_t kv_heads, int64_t group) {
  ModelConfig config = tiny_config();
  config.hidden_size = 72;
  config.intermediate_size = 88;
  config.head_dim = head_dim;
  config.num_kv_heads = kv_heads;
  config.num_heads = kv_heads * group;
  return config;
}

struct Continuation {
  int64_t tokens;
  int64_t room = 0;          // tokens the cache is made for; 0: just these
  int64_t checked_from = 0;  // token whose logits are the first to be compared
};

/// One step that adds some token to every text.
void decode_next(Model& model, std::vector<std::vector<uint32_t>>& texts,
                 std::span<SequenceCache* const> caches, int step) {
  std::vector<uint32_t> tokens;
  std::vector<int32_t> positions;
  for (size_t i = 0; i < texts.size(); ++i) {
    positions.push_back(static_cast<int32_t>(texts[i].size()));
    texts[i].push_back((step * 31 + i * 7) % 131);
    tokens.push_back(texts[i].back());
  }
  model.decode({tokens, positions, caches});
}

/// Relative error of the logits after the prompt and after each token that follows.
double worst_error(const TinyModel& tiny, const CacheOptions& options, int64_t prompt_tokens,
                   const Continuation& next, int64_t host_bytes) {
  const auto backend = cuda::make_backend(tiny.config(), {.host_bytes = host_bytes});
  Model model(tiny.config(), tiny.load(*backend), *backend, 4);
  std::vector<uint32_t> tokens = random_tokens(prompt_tokens, 3);
  const auto cache = backend->make_cache(
      resolve_geometry(options, prompt_tokens, std::max(next.tokens, next.room)));
  Prefill prefill(model, tokens, *cache);
  while (!prefill.step()) {
  }
  double worst = 0;
  SequenceCache* caches[] = {cache.get()};
  const std::vector<uint32_t> continuation = random_tokens(next.tokens, 4);
  for (int64_t i = 0;; ++i) {
    if (i >= next.checked_from) {
      const auto logits = model.logits();
      worst = std::max(
          worst, relative_error({logits.begin(), logits.end()}, tiny.reference_logits(tokens)));
    }
    if (i == next.tokens) return worst;
    const int32_t position = static_cast<int32_t>(tokens.size());
    tokens.push_back(continuation[i]);
    model.decode({{&tokens.back(), 1}, {&position, 1}, caches});
  }
}

}  // namespace

TEST_CASE("cuda model: full attention agrees with a double reference") {
  NEEDS_GPU();
  CacheOptions full;
  full.kind = CacheKind::full;
  for (const auto& [head_dim, kv_heads, group] :
       {std::tuple{64, 2, 2}, {96, 1, 7}, {128, 2, 4}, {128, 1, 16}, {64, 8, 1}, {96, 2, 8}}) {
    const TinyModel tiny(config_of(head_dim, kv_heads, group));
    for (const int64_t prompt : {1, 17, 130, 301}) {
      CAPTURE(head_dim);
      CAPTURE(group);
      CAPTURE(prompt);
      CHECK(worst_error(tiny, full, prompt, {4}, 0) < kTolerance);
    }
  }
}

TEST_CASE("cuda model: ShadowKV of full rank and covering budget equals full attention") {
  NEEDS_GPU();
  for (const auto& [head_dim, kv_heads, group] :
       {std::tuple{64, 2, 2}, {96, 1, 7}, {128, 2, 4}, {128, 1, 1}}) {
    const TinyModel tiny(config_of(head_dim, kv_heads, group));
    for (const int64_t chunk_size : {8, 16}) {
      for (const int64_t host_bytes : {int64_t{0}, int64_t{64} << 20}) {
        CacheOptions shadow;
        shadow.rank = tiny.config().key_width();
        shadow.chunk_size = chunk_size;
        shadow.outlier_chunks = 3;
        shadow.values = host_bytes > 0 ? ValuePlacement::host : ValuePlacement::device;
        shadow.local_window = 9;
        const int64_t prompt = 333;
        shadow.sparse_budget = prompt - 10;
        const CacheGeometry geometry = resolve_geometry(shadow, prompt, 6);
        REQUIRE_FALSE(geometry.dense);
        REQUIRE(geometry.num_selected_chunks == geometry.num_chunks - geometry.num_outlier_chunks);
        CAPTURE(head_dim);
        CAPTURE(group);
        CAPTURE(chunk_size);
        CAPTURE(host_bytes);
        CHECK(worst_error(tiny, shadow, prompt, {6}, host_bytes) < kTolerance);
      }
    }
  }
}

/// Lossless: selects every chunk of `prompt` tokens, at full rank, with values on the host.
CacheOptions lossless_on_host(const TinyModel& tiny, int64_t prompt) {
  CacheOptions shadow;
  shadow.rank = tiny.config().key_width();
  shadow.outlier_chunks = 3;
  shadow.local_window = 9;
  shadow.sparse_budget = prompt - 10;
  shadow.values = ValuePlacement::host;
  return shadow;
}

TEST_CASE("cuda model: values are found where the cache has room for far more than the prompt") {
  NEEDS_GPU();
  const TinyModel tiny(config_of(64, 4, 2));
  const int64_t prompt = 333;
  CHECK(worst_error(tiny, lossless_on_host(tiny, prompt), prompt, {3, 4096}, int64_t{64} << 20) <
        kTolerance);
}

TEST_CASE("cuda model: no generated token is lost, however many follow the prompt") {
  NEEDS_GPU();
  const TinyModel tiny(config_of(64, 4, 2));
  const int64_t prompt = 333;
  CHECK(worst_error(tiny, lossless_on_host(tiny, prompt), prompt, {300, 300, 298},
                    int64_t{64} << 20) < kTolerance);
}

TEST_CASE("cuda model: sequences of different lengths and kinds decode in one batch") {
  NEEDS_GPU();
  const TinyModel tiny(config_of(64, 2, 2));
  const auto backend = cuda::make_backend(tiny.config(), {.host_bytes = int64_t{64} << 20});
  Model model(tiny.config(), tiny.load(*backend), *backend, 8);
  CacheOptions shadow;
  shadow.rank = tiny.config().key_width();
  shadow.outlier_chunks = 2;
  shadow.local_window = 8;
  shadow.sparse_budget = 200;
  shadow.values = ValuePlacement::host;
  std::vector<std::vector<uint32_t>> texts;
  std::vector<std::unique_ptr<SequenceCache>> caches;
  std::vector<SequenceCache*> pointers;
  for (const int64_t prompt : {5, 150, 210, 222}) {  // two dense, two sparse that select everything
    texts.push_back(random_tokens(prompt, prompt));
    caches.push_back(backend->make_cache(resolve_geometry(shadow, prompt, 40)));
    pointers.push_back(caches.back().get());
    Prefill prefill(model, texts.back(), *caches.back());
    while (!prefill.step()) {
    }
  }
  for (int step = 0; step < 10; ++step) {
    decode_next(model, texts, pointers, step);
    const auto logits = model.logits();
    if (step % 3 != 0) continue;
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto row = logits.subspan(i * 131, 131);
      CAPTURE(step);
      CAPTURE(i);
      CHECK(relative_error({row.begin(), row.end()}, tiny.reference_logits(texts[i])) < kTolerance);
    }
  }
}

TEST_CASE("cuda model: prompts that begin alike are prefilled together as each alone") {
  NEEDS_GPU();
  CacheOptions full;
  full.kind = CacheKind::full;
  for (const auto& [head_dim, kv_heads, group] :
       {std::tuple{64, 2, 2}, {96, 1, 7}, {128, 2, 4}, {128, 1, 16}}) {
    const TinyModel tiny(config_of(head_dim, kv_heads, group));
    CacheOptions shadow;
    shadow.rank = tiny.config().key_width();
    shadow.outlier_chunks = 2;
    shadow.local_window = 8;
    shadow.sparse_budget = 320;  // members on both sides of it; those beyond select everything
    shadow.values = ValuePlacement::device;
    for (const CacheOptions& options : {full, shadow}) {
      const auto backend = cuda::make_backend(tiny.config(), {});
      Model model(tiny.config(), tiny.load(*backend), *backend, 8);
      const int64_t shared = 301;
      std::vector<std::vector<uint32_t>> texts;
      std::vector<std::unique_ptr<SequenceCache>> caches;
      std::vector<SequenceCache*> pointers;
      std::vector<PrefillMember> members;
      for (const int64_t own : {1, 2, 17, 27, 30, 6}) {
        texts.push_back(random_tokens(shared, 5));
        const std::vector<uint32_t> rest = random_tokens(own, 50 + own);
        texts.back().insert(texts.back().end(), rest.begin(), rest.end());
        caches.push_back(backend->make_cache(resolve_geometry(options, shared + own, 20)));
        pointers.push_back(caches.back().get());
      }
      for (size_t i = 0; i < texts.size(); ++i) members.push_back({texts[i], pointers[i]});
      Prefill prefill(model, members, shared);
      CHECK(prefill.shared_tokens() == shared);
      for (int steps = 1; !prefill.step(); ++steps) {
        if (steps == 20) prefill.drop(*pointers.back());
      }
      texts.pop_back();
      pointers.pop_back();
      for (int step = 0;; ++step) {
        const auto logits = model.logits();
        REQUIRE(logits.size() == texts.size() * 131);
        for (size_t i = 0; i < texts.size(); ++i) {
          CAPTURE(head_dim);
          CAPTURE(group);
          CAPTURE(step);
          CAPTURE(i);
          const auto row = logits.subspan(i * 131, 131);
          CHECK(relative_error({row.begin(), row.end()}, tiny.reference_logits(texts[i])) <
                kTolerance);
        }
        if (step == 3) break;
        decode_next(model, texts, pointers, step);
      }
    }
  }
}
