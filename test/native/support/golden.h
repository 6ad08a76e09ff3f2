#pragma once
// What Hugging Face Transformers computed with the checkpoints of test/native/goldens, against
// what a backend computes with them.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/model.h"
#include "engine/prefill.h"

namespace gnomon::test {

/// What a comparison came to, the worst over prompts and steps.
struct GoldenResult {
  double logits_error = 0;  // largest difference, relative to the largest logit
  int wrong_tokens = 0;     // greedy tokens unlike the recorded ones
};

inline double logits_error(std::span<const float> got, const std::vector<float>& want) {
  REQUIRE(got.size() == want.size());
  double difference = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(got[i]) - want[i]));
    largest = std::max(largest, std::abs(static_cast<double>(want[i])));
  }
  return difference / largest;
}

/// Runs every recorded prompt of `name`, feeding the recorded tokens. `make_backend` takes the
/// config; `options` is what each prompt of so many tokens is cached with.
template <typename MakeBackend, typename Options>
GoldenResult run_golden(const std::string& name, const MakeBackend& make_backend,
                        const Options& options) {
  const std::string dir = std::string(GOLDEN_DIR) + "/" + name;
  std::ifstream file(dir + "/golden.json");
  const auto golden = nlohmann::json::parse(file);
  const ModelConfig config = load_config(dir);
  const std::unique_ptr<Backend> backend = make_backend(config);
  Model model(config, load_weights(config, dir, *backend), *backend, 2);
  GoldenResult result;
  for (const auto& run : golden["runs"]) {
    const auto prompt = run["prompt"].get<std::vector<uint32_t>>();
    const auto greedy = run["greedy"].get<std::vector<uint32_t>>();
    const int64_t tokens = static_cast<int64_t>(prompt.size() + greedy.size());
    CacheGeometry geometry =
        resolve_geometry(options(config, prompt.size()), prompt.size(), greedy.size());
    geometry.first_position = first_position(config, tokens);
    const auto cache = backend->make_cache(geometry);
    Prefill prefill(model, prompt, *cache);
    while (!prefill.step()) {
    }
    SequenceCache* caches[] = {cache.get()};
    auto recorded = run["logits"].begin();
    for (size_t step = 0; step <= greedy.size(); ++step) {
      if (recorded != run["logits"].end() && (*recorded)["step"] == step) {
        result.logits_error =
            std::max(result.logits_error,
                     logits_error(model.logits(), (*recorded)["logits"].get<std::vector<float>>()));
        ++recorded;
      }
      if (step == greedy.size()) break;
      result.wrong_tokens += model.greedy_tokens()[0] != greedy[step];
      const int32_t position = static_cast<int32_t>(geometry.first_position + prompt.size() + step);
      model.decode({{&greedy[step], 1}, {&position, 1}, caches});
    }
    CHECK(recorded == run["logits"].end());
  }
  return result;
}

inline CacheOptions full_attention(const ModelConfig&, int64_t) {
  CacheOptions options;
  options.kind = CacheKind::full;
  return options;
}

/// ShadowKV that loses nothing: full rank, and every chunk is selected.
inline CacheOptions lossless_shadowkv(const ModelConfig& config, int64_t prompt_tokens) {
  CacheOptions options;
  options.rank = config.key_width();
  options.outlier_chunks = 2;
  options.local_window = 9;
  options.sparse_budget = prompt_tokens - 1;
  return options;
}

}  // namespace gnomon::test
