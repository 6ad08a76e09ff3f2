#include "cpu/decode_attention.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/error.h"
#include "test/native/support/cache_case.h"
#include "test/native/support/every_target.h"

namespace gnomon::cpu {
namespace {

using test::CacheCase;

void check_close(const std::vector<float>& actual, const test::Doubles& expected,
                 double tolerance) {
  REQUIRE(actual.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    worst = std::max(worst, std::abs(actual[i] - expected[i]));
  }
  CHECK(worst < tolerance);
}

/// `steps` decode steps of all layers against the reference.
CacheStats check_decode(const CacheCase& shape, int64_t steps, double tolerance = 2e-4) {
  const ModelConfig config = shape.config();
  const CacheGeometry g = shape.geometry();
  test::RandomSequence sequence(config, g.prompt_tokens, 31);
  test::CpuSide side(config);
  const auto cache = side.summarise(g, sequence);
  std::vector<test::ReferenceLayer> reference;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    reference.emplace_back(config, g, sequence.prompt(layer));
  }
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t layer = 0; layer < config.num_layers; ++layer) {
      const std::vector<float> query = sequence.next_query(layer);
      const std::vector<float> key = sequence.normals(config.key_width());
      const std::vector<float> value = sequence.normals(config.key_width());
      check_close(side.decode(layer, query, key, value, {cache.get()}),
                  reference[layer].decode(query, key, value), tolerance);
    }
  }
  return cache->stats();
}

TEST_CASE("dense decode equals the reference") {
  for (const int64_t head_dim : {20, 64, 80, 128}) {
    for (const int64_t group : {1, 2, 7}) {
      CAPTURE(head_dim);
      CAPTURE(group);
      CacheCase shape;
      shape.options.kind = CacheKind::full;
      shape.head_dim = head_dim;
      shape.query_group = group;
      shape.num_layers = 2;
      shape.prompt_tokens = head_dim == 64 ? 1500 : 130;  // several parts, or less than one
      test::on_every_target([&] { check_decode(shape, 3); });
    }
  }
}

TEST_CASE("sparse decode equals the reference whatever the shape") {
  struct Row {
    int64_t head_dim, num_kv_heads, group, chunk, rank, prompt, local;
  };
  for (const Row& row :
       {Row{32, 1, 1, 8, 13, 301, 16}, Row{32, 3, 4, 4, 50, 257, 0}, Row{64, 2, 2, 8, 96, 300, 32},
        Row{64, 2, 8, 1, 31, 200, 5}, Row{80, 1, 7, 16, 80, 333, 7}, Row{96, 1, 4, 8, 41, 298, 16},
        Row{128, 1, 2, 3, 77, 215, 11}, Row{20, 2, 3, 5, 39, 123, 4}}) {
    CAPTURE(row.head_dim);
    CAPTURE(row.group);
    CacheCase shape;
    shape.head_dim = row.head_dim;
    shape.num_kv_heads = row.num_kv_heads;
    shape.query_group = row.group;
    shape.prompt_tokens = row.prompt;
    shape.options.chunk_size = row.chunk;
    shape.options.rank = row.rank;
    shape.options.local_window = row.local;
    test::on_every_target([&] { check_decode(shape, 5); });
  }
}

TEST_CASE("slots under eviction hold what is selected") {
  for (const int64_t slots : {8, 9, 13, 1000}) {
    CAPTURE(slots);
    CacheCase shape;
    shape.num_layers = 2;
    shape.options.rank = 96;
    shape.options.slots = slots;
    shape.max_new_tokens = 40;
    const CacheStats stats = check_decode(shape, 40);
    CHECK(stats.selected_chunks == 40 * 2 * 2 * 8);
    CHECK(stats.hit_chunks > 0);
    CHECK(stats.hit_chunks < stats.selected_chunks);
  }
}

TEST_CASE("generated tokens are all attended, however many") {
  for (const CacheKind kind : {CacheKind::full, CacheKind::shadowkv}) {
    CacheCase shape;
    shape.options.kind = kind;
    shape.prompt_tokens = 171;
    shape.max_new_tokens = 600;  // more than the prompt and its slots
    check_decode(shape, 600);
  }
}

TEST_CASE("with a budget that covers the context and full rank, sparse equals dense") {
  for (const int64_t chunk_size : {1, 8, 16}) {
    for (const int64_t head_dim : {20, 64, 128}) {
      CAPTURE(chunk_size);
      CAPTURE(head_dim);
      CacheCase shape;
      shape.head_dim = head_dim;
      shape.query_group = 3;
      shape.prompt_tokens = 1333;
      shape.options.chunk_size = chunk_size;
      shape.options.rank = shape.config().key_width();
      shape.options.sparse_budget = 1332;
      CacheCase full = shape;
      full.options.kind = CacheKind::full;
      test::on_every_target([&] {
        const ModelConfig config = shape.config();
        test::RandomSequence sequence(config, shape.prompt_tokens, 9);
        test::CpuSide side(config);
        const auto sparse = side.summarise(shape.geometry(), sequence);
        const auto dense = side.summarise(full.geometry(), sequence);
        REQUIRE_FALSE(sparse->geometry().dense);
        REQUIRE(dense->geometry().dense);
        for (int64_t step = 0; step < 4; ++step) {
          const std::vector<float> query = sequence.next_query(0);
          const std::vector<float> key = sequence.normals(config.key_width());
          const std::vector<float> value = sequence.normals(config.key_width());
          const auto exact = side.decode(0, query, key, value, {dense.get()});
          check_close(side.decode(0, query, key, value, {sparse.get()}),
                      test::Doubles(exact.begin(), exact.end()), 1e-5);
        }
      });
    }
  }
}

TEST_CASE("a sequence gets the same bits in any batch and with any number of threads") {
  std::vector<CacheCase> shapes(4);
  shapes[1].prompt_tokens = 1111;
  shapes[2].prompt_tokens = 60;  // not longer than the budget: dense
  shapes[3].prompt_tokens = 5000;
  shapes[3].options.kind = CacheKind::full;
  const ModelConfig config = shapes[0].config();
  constexpr int64_t kSteps = 4;

  const auto run = [&](std::vector<size_t> members, int64_t threads) {
    test::CpuSide side(config, threads);
    std::vector<test::RandomSequence> sequences;
    std::vector<std::unique_ptr<CpuCache>> caches;
    std::vector<SequenceCache*> batch;
    for (const size_t i : members) {
      sequences.emplace_back(config, shapes[i].prompt_tokens, i);
      caches.push_back(side.summarise(shapes[i].geometry(), sequences.back()));
      batch.push_back(caches.back().get());
    }
    std::vector<std::vector<float>> out(shapes.size());
    for (int64_t step = 0; step < kSteps; ++step) {
      std::vector<float> query, key, value;
      for (test::RandomSequence& sequence : sequences) {
        const auto add = [](std::vector<float>& to, const std::vector<float>& row) {
          to.insert(to.end(), row.begin(), row.end());
        };
        add(query, sequence.next_query(0));
        add(key, sequence.normals(config.key_width()));
        add(value, sequence.normals(config.key_width()));
      }
      const std::vector<float> result = side.decode(0, query, key, value, batch);
      for (size_t i = 0; i < members.size(); ++i) {
        const auto row = result.begin() + i * config.query_width();
        out[members[i]].insert(out[members[i]].end(), row, row + config.query_width());
      }
    }
    return out;
  };

  const auto together = run({0, 1, 2, 3}, 3);
  const auto reversed = run({3, 2, 1, 0}, 2);
  for (size_t i = 0; i < shapes.size(); ++i) {
    CHECK(together[i] == reversed[i]);
    CHECK(together[i] == run({i}, 1)[i]);
    CHECK(together[i] == run({i}, 4)[i]);
  }
}

TEST_CASE("the slots of a sequence do not change its result") {
  const auto run = [](int64_t slots) {
    CacheCase shape;
    shape.options.slots = slots;
    const ModelConfig config = shape.config();
    test::RandomSequence sequence(config, shape.prompt_tokens, 4);
    test::CpuSide side(config);
    const auto cache = side.summarise(shape.geometry(), sequence);
    std::vector<std::vector<float>> out;
    for (int64_t step = 0; step < 8; ++step) {
      const std::vector<float> row = sequence.normals(config.key_width());
      out.push_back(side.decode(0, sequence.next_query(0), row, row, {cache.get()}));
    }
    return out;
  };
  CHECK(run(8) == run(1000));
}

}  // namespace
}  // namespace gnomon::cpu
