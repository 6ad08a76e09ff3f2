// Sequences that join and leave a batch on the GPU.

#include "engine/scheduler.h"

#include <map>

#include "cuda/library.h"
#include "test/native/cuda/device.h"
#include "test/native/support/tiny_model.h"

using namespace gnomon;
using namespace gnomon::test;

namespace {

std::map<uint64_t, std::vector<uint32_t>> answers(const TinyModel& tiny,
                                                  const CacheOptions& options, uint64_t first,
                                                  uint64_t last) {
  const auto backend = cuda::make_backend(tiny.config(), {});
  Model model(tiny.config(), tiny.load(*backend), *backend, 16);
  Scheduler scheduler(model, options, 16);
  std::map<uint64_t, std::vector<uint32_t>> tokens;
  for (uint64_t id = first; id <= last; ++id) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = id;
    sequence->request = {random_tokens(100 + 53 * (id % 9), id),
                         static_cast<int64_t>(3 + 5 * (id % 7)),
                         {},
                         {},
                         true};
    sequence->callbacks.on_done = [&tokens, id](GenerateResult result) {
      tokens[id] = std::move(result.tokens);
    };
    sequence->callbacks.on_error = [](const EngineError& error) { FAIL_CHECK(error.what()); };
    scheduler.add(std::move(sequence));
  }
  while (scheduler.step()) {
  }
  return tokens;
}

}  // namespace

TEST_CASE("cuda scheduler: every sequence that joins and leaves is answered in full") {
  NEEDS_GPU();
  ModelConfig config = tiny_config();
  config.hidden_size = 72;
  config.intermediate_size = 88;
  config.head_dim = 64;
  config.num_kv_heads = 2;
  config.num_heads = 4;
  const TinyModel tiny(config);
  CacheOptions options;
  options.rank = 96;
  options.sparse_budget = 64;
  options.outlier_chunks = 2;
  options.local_window = 16;
  const auto together = answers(tiny, options, 1, 40);
  REQUIRE(together.size() == 40);
  for (uint64_t id = 1; id <= 40; ++id) CHECK(together.at(id).size() == 3 + 5 * (id % 7));
}
