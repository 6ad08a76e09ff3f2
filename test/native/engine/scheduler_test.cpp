#include "engine/scheduler.h"

#include <doctest/doctest.h>

#include <map>
#include <new>
#include <string>

#include "test/native/support/tiny_model.h"
#include "test/native/support/watched_backend.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

/// A scheduler over a tiny model that records how every request ended.
struct Bench {
  explicit Bench(CacheOptions options, int64_t max_batch = 8, int64_t device_bytes = 0)
      : tiny(tiny_config()),
        backend(make_cpu_backend(tiny.config(), {.threads = 2, .device_bytes = device_bytes})),
        model(tiny.config(), tiny.load(backend), backend, max_batch),
        scheduler(model, options, max_batch) {}

  void add(uint64_t id, std::vector<uint32_t> tokens, int64_t max_new_tokens,
           SamplingOptions sampling = {}, std::vector<uint32_t> stop = {},
           std::string reuse_scope = "") {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = id;
    sequence->request = {std::move(tokens), max_new_tokens, sampling, std::move(stop), false};
    sequence->request.reuse_scope = std::move(reuse_scope);
    sequence->submitted = Clock::now();
    sequence->callbacks.on_done = [this, id](GenerateResult result) {
      order.push_back(id);
      results[id] = std::move(result);
    };
    sequence->callbacks.on_error = [this, id](EngineError error) { errors[id] = error.code; };
    sequence->callbacks.on_progress = [this, id](const Progress& p) { progress[id].push_back(p); };
    scheduler.add(std::move(sequence));
  }

  void drain() {
    while (scheduler.step()) {
    }
  }

  TinyModel tiny;
  WatchedBackend backend;
  Model model;
  Scheduler scheduler;
  std::map<uint64_t, GenerateResult> results;
  std::map<uint64_t, std::string> errors;
  std::map<uint64_t, std::vector<Progress>> progress;
  std::vector<uint64_t> order;
};

CacheOptions full_cache() {
  CacheOptions options;
  options.kind = CacheKind::full;
  return options;
}

CacheOptions sparse_cache() {
  CacheOptions options;
  options.rank = 24;
  options.chunk_size = 4;
  options.sparse_budget = 32;
  options.outlier_chunks = 2;
  options.local_window = 8;
  return options;
}

}  // namespace

TEST_CASE("scheduler: greedy tokens do not depend on the batch around a sequence") {
  for (const CacheOptions& options : {full_cache(), sparse_cache()}) {
    CAPTURE(static_cast<int>(options.kind));
    Bench together(options);
    for (uint64_t id = 1; id <= 6; ++id) {
      together.add(id, random_tokens(20 + 37 * id, id), 5 + 7 * id);
    }
    together.drain();
    for (uint64_t id = 1; id <= 6; ++id) {
      CAPTURE(id);
      Bench alone(options);
      alone.add(id, random_tokens(20 + 37 * id, id), 5 + 7 * id);
      alone.drain();
      CHECK(alone.results.at(id).tokens == together.results.at(id).tokens);
      CHECK(together.results.at(id).tokens.size() == 5 + 7 * id);
      CHECK(together.results.at(id).finish_reason == "length");
    }
  }
}

TEST_CASE("scheduler: a sequence that joins later decodes beside the ones that run") {
  Bench bench(full_cache());
  bench.add(1, random_tokens(30, 1), 200);
  for (int i = 0; i < 30; ++i) bench.scheduler.step();
  bench.add(2, random_tokens(30, 2), 3);
  bench.drain();
  CHECK(bench.order == std::vector<uint64_t>{2, 1});
}

TEST_CASE("scheduler: stop tokens end a sequence and are not part of it") {
  Bench bench(full_cache());
  bench.add(1, random_tokens(30, 1), 20);
  bench.drain();
  const std::vector<uint32_t> tokens = bench.results.at(1).tokens;
  const uint32_t stop = tokens[7];
  const auto first = std::find(tokens.begin(), tokens.end(), stop);
  bench.add(2, random_tokens(30, 1), 20, {}, {stop});
  bench.drain();
  CHECK(bench.results.at(2).tokens == std::vector<uint32_t>(tokens.begin(), first));
  CHECK(bench.results.at(2).finish_reason == "stop");
}

TEST_CASE("scheduler: progress never goes back and ends complete") {
  Bench bench(sparse_cache());
  bench.add(1, random_tokens(300, 1), 9);
  bench.drain();
  const auto& seen = bench.progress.at(1);
  for (size_t i = 1; i < seen.size(); ++i) {
    CHECK(seen[i].prefill_tokens >= seen[i - 1].prefill_tokens);
    CHECK(seen[i].generated_tokens >= seen[i - 1].generated_tokens);
  }
  CHECK(seen.back().prefill_tokens == 300);
  CHECK(seen.back().generated_tokens == 9);
  CHECK(seen.back().phase == Progress::Phase::decode);
}

TEST_CASE("scheduler: cancel ends waiting, prefilling and decoding sequences and frees memory") {
  Bench bench(full_cache());
  bench.add(1, random_tokens(30, 1), 500);
  for (int i = 0; i < 30; ++i) bench.scheduler.step();
  REQUIRE(bench.scheduler.stats().decoding == 1);
  bench.add(2, random_tokens(600, 2), 5);
  while (bench.scheduler.stats().prefilling == 0) bench.scheduler.step();
  bench.add(3, random_tokens(30, 3), 5);
  for (const uint64_t id : {1, 2, 3, 99}) bench.scheduler.cancel(id);
  CHECK(bench.errors ==
        std::map<uint64_t, std::string>{{1, "cancelled"}, {2, "cancelled"}, {3, "cancelled"}});
  CHECK_FALSE(bench.scheduler.step());
  CHECK(bench.scheduler.stats().used.device == 0);
  CHECK(bench.scheduler.stats().used.host == 0);
}

TEST_CASE("scheduler: requests that can never run are refused by code") {
  Bench bench(full_cache());
  bench.add(1, {}, 5);
  bench.add(2, random_tokens(5, 1), 0);
  bench.add(3, random_tokens(4090, 1), 10);
  bench.add(4, {1, 2, 131}, 10);
  CHECK(bench.errors.at(1) == "invalid_request");
  CHECK(bench.errors.at(2) == "invalid_request");
  CHECK(bench.errors.at(3) == "context_overflow");
  CHECK(bench.errors.at(4) == "invalid_request");
}

TEST_CASE("scheduler: the ledger holds requests back until memory is free, in order") {
  const int64_t one = [] {
    Bench probe(full_cache());
    const Plan plan = probe.scheduler.plan(400, 20, {}, 0);
    return plan.cache.device + plan.cache.host + plan.workspace_bytes;
  }();
  Bench bench(full_cache(), 8, one + one / 2);
  for (uint64_t id = 1; id <= 4; ++id) bench.add(id, random_tokens(400, id), 20);
  bench.add(5, random_tokens(2000, 5), 20);
  CHECK(bench.errors.at(5) == "out_of_memory");
  int64_t most = 0;
  while (bench.scheduler.step()) {
    const EngineStats stats = bench.scheduler.stats();
    most = std::max(most, stats.used.device + stats.used.host);
    CHECK(stats.prefilling + stats.decoding <= 2);
  }
  CHECK(most <= one + one / 2);
  CHECK(bench.order == std::vector<uint64_t>{1, 2, 3, 4});
}

TEST_CASE("scheduler: the batch limit holds") {
  Bench bench(full_cache(), 2);
  for (uint64_t id = 1; id <= 5; ++id) bench.add(id, random_tokens(40, id), 30);
  int64_t most = 0;
  while (bench.scheduler.step()) most = std::max(most, bench.scheduler.stats().decoding);
  CHECK(most == 2);
  CHECK(bench.results.size() == 5);
}

namespace {

/// A document of `shared` tokens, the same for every question, and a question of its own.
std::vector<uint32_t> question_on(int64_t shared, uint64_t document, int64_t own, uint64_t seed) {
  std::vector<uint32_t> tokens = random_tokens(shared, document);
  const std::vector<uint32_t> rest = random_tokens(own, seed);
  tokens.insert(tokens.end(), rest.begin(), rest.end());
  return tokens;
}

}  // namespace

TEST_CASE("scheduler: questions on one document are prefilled together and answered as alone") {
  for (const CacheOptions& options : {full_cache(), sparse_cache()}) {
    CAPTURE(static_cast<int>(options.kind));
    Bench together(options);
    for (uint64_t id = 1; id <= 5; ++id) {
      together.add(id, question_on(300, 77, 3 * id, 1000 + id), 12);
    }
    together.scheduler.step();
    CHECK(together.scheduler.stats().prefilling == 5);
    together.drain();
    for (uint64_t id = 1; id <= 5; ++id) {
      CAPTURE(id);
      Bench alone(options);
      alone.add(id, question_on(300, 77, 3 * id, 1000 + id), 12);
      alone.drain();
      CHECK(alone.results.at(id).tokens == together.results.at(id).tokens);
      CHECK(alone.results.at(id).cached_tokens == 0);
      CHECK(together.results.at(id).cached_tokens == (id == 1 ? 0 : 300));
      CHECK(together.results.at(id).prompt_tokens == 300 + 3 * static_cast<int64_t>(id));
      CHECK(together.progress.at(id).back().prefill_tokens == 300 + 3 * static_cast<int64_t>(id));
    }
    const EngineStats stats = together.scheduler.stats();
    CHECK(stats.prefilled_tokens == 300 + 3 * (1 + 2 + 3 + 4 + 5));
    CHECK(stats.cached_tokens == 4 * 300);
    CHECK(stats.used.device == 0);
    CHECK(stats.used.host == 0);
  }
}

TEST_CASE("scheduler: equal prompts, and one that another goes on from, share their prefill") {
  Bench bench(sparse_cache());
  const std::vector<uint32_t> prompt = random_tokens(400, 5);
  std::vector<uint32_t> longer = prompt;
  longer.push_back(9);
  longer.push_back(11);
  bench.add(1, prompt, 8);
  bench.add(2, longer, 8);
  bench.add(3, prompt, 8);
  bench.drain();
  Bench alone(sparse_cache());
  alone.add(1, prompt, 8);
  alone.drain();
  alone.add(2, longer, 8);
  alone.drain();
  CHECK(bench.results.at(1).tokens == alone.results.at(1).tokens);
  CHECK(bench.results.at(2).tokens == alone.results.at(2).tokens);
  CHECK(bench.results.at(3).tokens == alone.results.at(1).tokens);
  CHECK(bench.results.at(3).cached_tokens == 399);
}

TEST_CASE("scheduler: a group passes over what begins otherwise, and what is of another scope") {
  Bench bench(full_cache());
  bench.add(1, question_on(300, 7, 5, 1), 4);
  bench.add(2, random_tokens(300, 2), 4);
  bench.add(3, question_on(300, 7, 5, 3), 4, {}, {}, "other");
  bench.add(4, question_on(300, 7, 5, 4), 4);
  bench.drain();
  REQUIRE(bench.results.size() == 4);
  CHECK(bench.order == std::vector<uint64_t>{1, 4, 2, 3});
  CHECK(bench.results.at(2).cached_tokens == 0);
  CHECK(bench.results.at(3).cached_tokens == 0);
  CHECK(bench.results.at(4).cached_tokens == 300);
}

TEST_CASE("scheduler: who comes while a prefill has hardly begun joins it, and later ones do not") {
  Bench bench(sparse_cache());
  bench.add(1, question_on(3000, 7, 5, 1), 4);
  bench.scheduler.step();
  REQUIRE(bench.scheduler.stats().prefilling == 1);
  bench.add(2, question_on(3000, 7, 9, 2), 4);
  bench.scheduler.step();
  CHECK(bench.scheduler.stats().prefilling == 2);
  while (bench.progress.at(1).back().prefill_tokens < 1500) bench.scheduler.step();
  bench.add(3, question_on(3000, 7, 2, 3), 4);
  bench.scheduler.step();
  CHECK(bench.scheduler.stats().prefilling == 2);
  bench.drain();
  CHECK(bench.results.at(1).cached_tokens == 0);
  CHECK(bench.results.at(2).cached_tokens == 3000);
  CHECK(bench.results.at(3).cached_tokens == 0);
  for (uint64_t id = 1; id <= 3; ++id) {
    const auto& seen = bench.progress.at(id);
    for (size_t i = 1; i < seen.size(); ++i) {
      CHECK(seen[i].prefill_tokens >= seen[i - 1].prefill_tokens);
    }
  }
  Bench alone(sparse_cache());
  alone.add(1, question_on(3000, 7, 5, 1), 4);
  alone.drain();
  CHECK(alone.results.at(1).tokens == bench.results.at(1).tokens);
  CHECK(bench.scheduler.stats().used.device == 0);
}

TEST_CASE("scheduler: any member of a group can be cancelled at any step") {
  Bench whole(sparse_cache());
  for (uint64_t id = 1; id <= 3; ++id) whole.add(id, question_on(600, 7, 40 * id, id), 6);
  int64_t steps = 0;
  while (whole.scheduler.stats().decoding == 0 && whole.scheduler.step()) ++steps;
  whole.drain();
  for (uint64_t victim = 1; victim <= 3; ++victim) {
    for (int64_t at = 1; at < steps; ++at) {
      CAPTURE(victim);
      CAPTURE(at);
      Bench bench(sparse_cache());
      for (uint64_t id = 1; id <= 3; ++id) bench.add(id, question_on(600, 7, 40 * id, id), 6);
      for (int64_t i = 0; i < at; ++i) bench.scheduler.step();
      REQUIRE(bench.scheduler.stats().prefilling == 3);
      bench.scheduler.cancel(victim);
      bench.drain();
      CHECK(bench.errors == std::map<uint64_t, std::string>{{victim, "cancelled"}});
      REQUIRE(bench.results.size() == 2);
      int64_t uncached = 0;
      for (const auto& [id, result] : bench.results) {
        CHECK(result.tokens == whole.results.at(id).tokens);
        if (result.cached_tokens == 0) ++uncached;
      }
      CHECK(uncached == 1);
      CHECK(bench.scheduler.stats().used.device == 0);
      CHECK(bench.scheduler.stats().used.host == 0);
    }
  }
  Bench bench(sparse_cache());
  for (uint64_t id = 1; id <= 3; ++id) bench.add(id, question_on(600, 7, 40 * id, id), 6);
  bench.scheduler.step();
  for (uint64_t id = 1; id <= 3; ++id) bench.scheduler.cancel(id);
  CHECK_FALSE(bench.scheduler.step());
  CHECK(bench.scheduler.stats().used.device == 0);
}

TEST_CASE("scheduler: a group is no larger than memory and batch have room for") {
  const auto bytes = [](int64_t batch) {
    Bench probe(full_cache());
    const Plan plan = probe.scheduler.plan(405, 20, {}, 0);
    return batch * (plan.cache.device + plan.cache.host) + plan.workspace_bytes;
  };
  // Room for three and for what the suffixes of two take besides.
  Bench bench(full_cache(), 8, bytes(3) + bytes(1) / 4);
  for (uint64_t id = 1; id <= 5; ++id) bench.add(id, question_on(400, 7, 5, id), 20);
  bench.scheduler.step();
  CHECK(bench.scheduler.stats().prefilling == 3);
  int64_t most = 0;
  while (bench.scheduler.step()) {
    const EngineStats stats = bench.scheduler.stats();
    most = std::max(most, stats.used.device + stats.used.host);
  }
  CHECK(most <= bytes(3) + bytes(1) / 4);
  CHECK(bench.results.size() == 5);

  Bench small(full_cache(), 2);
  for (uint64_t id = 1; id <= 5; ++id) small.add(id, question_on(400, 7, 5, id), 20);
  small.scheduler.step();
  CHECK(small.scheduler.stats().prefilling == 2);
  small.drain();
  CHECK(small.results.size() == 5);
}

TEST_CASE("scheduler: memory that runs out under several sequences is no fault of theirs") {
  const auto run_out = [](const DecodeStep&) { throw std::bad_alloc(); };
  Bench alone(full_cache());
  alone.backend.before_step = run_out;
  alone.add(1, random_tokens(30, 1), 20);
  alone.drain();
  CHECK(alone.errors.at(1) == "out_of_memory");

  Bench several(full_cache());
  several.backend.before_step = [&](const DecodeStep& step) {
    if (step.tokens.size() > 1) run_out(step);
  };
  several.add(1, random_tokens(30, 1), 20);
  several.add(2, random_tokens(30, 2), 20);
  CHECK_THROWS_AS(several.drain(), EngineError);
  CHECK(several.errors.at(1) == "device_failed");
  CHECK(several.errors.at(2) == "device_failed");
}
