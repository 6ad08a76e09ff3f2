#include "engine/token_picker.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/logprobs.h"
#include "engine/prefill.h"
#include "engine/sampler.h"
#include "test/native/support/tiny_model.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

/// One decode step of several sequences over a vocabulary that is large enough for threads to
/// share.
struct Step {
  explicit Step(const std::vector<SamplingOptions>& each)
      : tiny(large_vocabulary()),
        backend(make_cpu_backend(tiny.config(), {.threads = 2})),
        model(tiny.config(), tiny.load(*backend), *backend, 16) {
    std::vector<uint32_t> fed;
    std::vector<int32_t> positions;
    std::vector<SequenceCache*> of_rows;
    for (size_t i = 0; i < each.size(); ++i) {
      auto sequence = std::make_unique<Sequence>();
      sequence->request = {random_tokens(20 + 3 * i, i + 1), 8, each[i], {}, false};
      if (Penalties::needed(each[i])) {
        sequence->penalties.emplace(each[i], sequence->request.tokens);
      }
      CacheOptions full;
      full.kind = CacheKind::full;
      const int64_t prompt = sequence->prompt_tokens();
      sequence->cache = backend->make_cache(resolve_geometry(full, prompt, 8));
      Prefill prefill(model, sequence->request.tokens, *sequence->cache);
      while (!prefill.step()) {
      }
      sequence->generated = {model.greedy_tokens().front()};
      fed.push_back(sequence->generated.front());
      positions.push_back(static_cast<int32_t>(prompt));
      of_rows.push_back(sequence->cache.get());
      rows.push_back(std::move(sequence));
    }
    model.decode({fed, positions, of_rows});
  }

  static ModelConfig large_vocabulary() {
    ModelConfig config = tiny_config();
    config.vocab_size = 40000;
    return config;
  }

  std::vector<float> logits(size_t row) {
    const auto all = model.logits().subspan(row * 40000, 40000);
    return {all.begin(), all.end()};
  }

  TinyModel tiny;
  std::unique_ptr<Backend> backend;
  Model model;
  std::vector<std::unique_ptr<Sequence>> rows;
};

}  // namespace

TEST_CASE("token picker: each row has the token that its own options draw from its own logits") {
  std::vector<SamplingOptions> each;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    each.push_back({});
    each.push_back({.temperature = 1.0, .seed = seed});
    each.push_back({.temperature = 0.7, .top_p = 0.9, .seed = seed});
    each.push_back({.temperature = 2.0, .top_k = 40, .seed = seed, .repetition_penalty = 1.3});
  }
  Step step(each);
  step.rows[1]->request.top_logprobs = 3;
  TokenPicker picker(step.model);
  const std::vector<NextToken> next = picker.pick(step.rows);
  REQUIRE(next.size() == each.size());
  for (size_t i = 0; i < each.size(); ++i) {
    std::vector<float> logits = step.logits(i);
    if (step.rows[i]->penalties) step.rows[i]->penalties->apply(logits);
    CHECK(next[i].token == sample(each[i], logits, 1));
    CHECK(next[i].logprobs.top.size() == (i == 1 ? 3 : 0));
  }
  CHECK(next[1].logprobs.logprob == token_logprobs(step.logits(1), next[1].token, 3).logprob);
}

TEST_CASE("token picker: greedy rows have the likeliest token, with or without other rows beside") {
  Step greedy({{}, {}, {}}), mixed({{}, {}, {.temperature = 1.0}});
  const auto alone = TokenPicker(greedy.model).pick(greedy.rows);
  const auto beside = TokenPicker(mixed.model).pick(mixed.rows);
  for (size_t i = 0; i < 2; ++i) {
    const std::vector<float> logits = greedy.logits(i);
    const auto likeliest = std::ranges::max_element(logits) - logits.begin();
    CHECK(alone[i].token == likeliest);
    CHECK(beside[i].token == likeliest);
  }
}
