#include "engine/model.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/prefill.h"
#include "test/native/support/tiny_model.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

constexpr double kTolerance = 2e-3;  // fp32 over three layers, logits of magnitude ~10

double largest_difference(std::span<const float> logits, const Doubles& reference) {
  REQUIRE(logits.size() == reference.size());
  double largest = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    largest = std::max(largest, std::abs(logits[i] - reference[i]));
  }
  return largest;
}

std::vector<float> prefill(Model& model, const std::vector<uint32_t>& tokens,
                           SequenceCache& cache) {
  Prefill prefill(model, tokens, cache);
  double before = 0;
  bool done = false;
  while (!done) {
    done = prefill.step();
    CHECK(prefill.share_done() >= before);
    before = prefill.share_done();
  }
  CHECK(before == 1);
  const auto logits = model.logits();
  return {logits.begin(), logits.end()};
}

/// Prefills `prompt`, then feeds `continuation`; returns the logits after each token from the last
/// prompt token on.
std::vector<std::vector<float>> run(const TinyModel& tiny, const CacheOptions& options,
                                    const std::vector<uint32_t>& prompt,
                                    const std::vector<uint32_t>& continuation) {
  auto backend = make_cpu_backend(tiny.config(), {.threads = 2});
  Model model(tiny.config(), tiny.load(*backend), *backend, 4);
  auto cache = backend->make_cache(
      resolve_geometry(options, prompt.size(), static_cast<int64_t>(continuation.size())));
  std::vector<std::vector<float>> logits{prefill(model, prompt, *cache)};
  SequenceCache* caches[] = {cache.get()};
  for (size_t i = 0; i < continuation.size(); ++i) {
    const int32_t position = static_cast<int32_t>(prompt.size() + i);
    model.decode({{&continuation[i], 1}, {&position, 1}, caches});
    const auto out = model.logits();
    logits.emplace_back(out.begin(), out.end());
  }
  return logits;
}

}  // namespace

TEST_CASE("model: prefill and decode with full attention agree with a double reference") {
  const TinyModel tiny(tiny_config());
  CacheOptions full;
  full.kind = CacheKind::full;
  for (const int64_t prompt_tokens : {1, 2, 17, 90}) {
    CAPTURE(prompt_tokens);
    std::vector<uint32_t> tokens = random_tokens(prompt_tokens, 7);
    const std::vector<uint32_t> continuation = random_tokens(5, 8);
    const auto logits = run(tiny, full, tokens, continuation);
    CHECK(largest_difference(logits[0], tiny.reference_logits(tokens)) < kTolerance);
    for (size_t i = 0; i < continuation.size(); ++i) {
      tokens.push_back(continuation[i]);
      CHECK(largest_difference(logits[i + 1], tiny.reference_logits(tokens)) < kTolerance);
    }
  }
}

TEST_CASE("model: ShadowKV of full rank and covering budget equals full attention") {
  const TinyModel tiny(tiny_config());
  CacheOptions shadow;
  shadow.rank = tiny.config().key_width();
  shadow.chunk_size = 4;
  shadow.outlier_chunks = 3;
  shadow.local_window = 9;
  const std::vector<uint32_t> continuation = random_tokens(12, 9);
  for (const int64_t prompt_tokens : {70, 203}) {
    CAPTURE(prompt_tokens);
    shadow.sparse_budget = prompt_tokens - 10;  // sparse by a hair, yet every chunk is selected
    const CacheGeometry geometry = resolve_geometry(shadow, prompt_tokens, 12);
    REQUIRE_FALSE(geometry.dense);
    REQUIRE(geometry.num_selected_chunks == geometry.num_chunks - geometry.num_outlier_chunks);
    std::vector<uint32_t> tokens = random_tokens(prompt_tokens, 10);
    const auto logits = run(tiny, shadow, tokens, continuation);
    for (size_t i = 0; i < logits.size(); ++i) {
      CHECK(largest_difference(logits[i], tiny.reference_logits(tokens)) < kTolerance);
      if (i < continuation.size()) tokens.push_back(continuation[i]);
    }
  }
}

TEST_CASE("model: a prompt longer than one prefill block agrees with a double reference") {
  const TinyModel tiny(tiny_config());
  auto backend = make_cpu_backend(tiny.config(), {.threads = 2});
  Model model(tiny.config(), tiny.load(*backend), *backend, 1);
  const std::vector<uint32_t> tokens = random_tokens(backend->prefill_rows() + 33, 11);
  CacheOptions full;
  full.kind = CacheKind::full;
  auto cache = backend->make_cache(resolve_geometry(full, tokens.size(), 1));
  CHECK(largest_difference(prefill(model, tokens, *cache), tiny.reference_logits(tokens)) <
        kTolerance);
}
