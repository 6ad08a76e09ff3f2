#include "engine/inspect.h"

#include "engine/memory_ledger.h"
#include "engine/prefill.h"
#include "engine/weights.h"

namespace gnomon {

namespace {

/// Counts the elements that a backend would keep.
class CountingStore final : public WeightStore {
 public:
  std::unique_ptr<Weight> load_linear(std::span<const HostTensor> weights,
                                      std::span<const HostTensor> biases) override {
    for (const HostTensor& tensor : weights) add(tensor);
    for (const HostTensor& tensor : biases) add(tensor);
    return std::make_unique<Weight>();
  }
  std::unique_ptr<Weight> load_embedding(const HostTensor& table) override { return add(table); }
  std::unique_ptr<Weight> load_norm(const HostTensor& gain) override { return add(gain); }

  int64_t elements = 0;

 private:
  std::unique_ptr<Weight> add(const HostTensor& tensor) {
    int64_t count = 1;
    for (const int64_t extent : tensor.shape) count *= extent;
    elements += count;
    return std::make_unique<Weight>();
  }
};

Fit longest_prompt(const ModelConfig& config, const Backend& backend, const MemoryLedger& ledger,
                   const CacheOptions& options, int64_t max_new_tokens) {
  const auto cache_of = [&](int64_t tokens) {
    return backend.cache_bytes(resolve_geometry(options, tokens, max_new_tokens));
  };
  const auto refusal = [&](int64_t tokens) {
    CacheBytes need = cache_of(tokens);
    need.device += Prefill::workspace_bytes(config, backend, tokens);
    return ledger.refusal(need, {});
  };
  const int64_t positions = config.max_position_embeddings;
  int64_t fits = 0, too_long = positions - max_new_tokens + 1;
  if (too_long <= 1) return {0, "the model's " + std::to_string(positions) + " positions", {}};
  while (too_long - fits > 1) {
    const int64_t middle = fits + (too_long - fits) / 2;
    (refusal(middle).empty() ? fits : too_long) = middle;
  }
  const bool by_positions = too_long == positions - max_new_tokens + 1;
  return {fits,
          by_positions ? "the model's " + std::to_string(positions) + " positions, " +
                             std::to_string(max_new_tokens) + " of them for new tokens"
                       : "one token more " + refusal(too_long),
          fits > 0 ? cache_of(fits) : CacheBytes{}};
}

}  // namespace

Inspection inspect(const EngineOptions& options, int64_t max_new_tokens) {
  Inspection out;
  ModelConfig& config = out.model.config;
  config = load_config(options.model_dir);
  check_cache_options(options.cache, config.key_width());
  CountingStore store;
  out.model.weight_bytes = load_weights(config, options.model_dir, store).bytes;

  const std::unique_ptr<Backend> backend = make_backend(options.device, config, options.backend);
  out.loaded_bytes = store.elements * backend->element_bytes();
  out.scratch_bytes = Model::scratch_bytes(config, *backend, options.max_batch);
  out.capacity = backend->capacity();
  CacheBytes left = out.capacity;
  const int64_t taken = out.loaded_bytes + out.scratch_bytes;
  left.device = std::max<int64_t>(left.device - taken, 0);
  if (backend->unified_memory()) left.host = left.device;
  const MemoryLedger ledger(left, backend->unified_memory());

  CacheOptions full;
  full.kind = CacheKind::full;
  out.full = longest_prompt(config, *backend, ledger, full, max_new_tokens);
  CacheOptions shadow = options.cache;
  shadow.kind = CacheKind::shadowkv;
  out.shadowkv = longest_prompt(config, *backend, ledger, shadow, max_new_tokens);
  return out;
}

}  // namespace gnomon
