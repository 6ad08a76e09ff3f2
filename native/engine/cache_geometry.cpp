#include "engine/cache_geometry.h"

#include <algorithm>
#include <string>

#include "engine/error.h"

namespace gnomon {

namespace {

[[noreturn]] void refuse(const char* knob, int64_t value, const std::string& reason) {
  throw EngineError("invalid_options",
                    std::string(knob) + " is " + std::to_string(value) + "; " + reason);
}

void at_least(const char* knob, int64_t value, int64_t least) {
  if (value < least) refuse(knob, value, "it must be at least " + std::to_string(least));
}

int64_t budget_chunks(const CacheOptions& options) {
  return (options.sparse_budget - 1) / options.chunk_size + 1;
}

}  // namespace

int64_t default_rank(int64_t key_width) {
  const int64_t most = key_width * 3 / 4;
  const int64_t rank = std::min(most, std::clamp<int64_t>(key_width * 5 / 32, 160, 256));
  return rank < 8 ? std::max<int64_t>(rank, 1) : rank / 8 * 8;
}

void check_cache_options(const CacheOptions& options, int64_t key_width) {
  if (options.kind == CacheKind::full) return;
  at_least("rank", options.rank, 1);
  at_least("chunk_size", options.chunk_size, 1);
  at_least("sparse_budget", options.sparse_budget, 1);
  at_least("outlier_chunks", options.outlier_chunks, 0);
  at_least("local_window", options.local_window, 0);
  at_least("slots", options.slots, 0);
  if (options.rank > key_width) {
    refuse("rank", options.rank,
           "the keys of all KV heads together have only " + std::to_string(key_width) +
               " columns, which is the largest useful rank");
  }
  if (options.slots > 0 && options.slots < budget_chunks(options)) {
    refuse("slots", options.slots,
           "a step selects " + std::to_string(budget_chunks(options)) +
               " chunks (sparse_budget / chunk_size) and each needs a slot");
  }
}

CacheGeometry resolve_geometry(const CacheOptions& options, int64_t prompt_tokens,
                               int64_t max_new_tokens) {
  CacheGeometry dense;
  dense.prompt_tokens = prompt_tokens;
  dense.max_new_tokens = max_new_tokens;
  if (options.kind == CacheKind::full || prompt_tokens <= options.sparse_budget ||
      prompt_tokens <= options.local_window) {
    return dense;
  }
  CacheGeometry sparse = dense;
  sparse.dense = false;
  sparse.rank = options.rank;
  sparse.chunk_size = options.chunk_size;
  sparse.num_chunks = (prompt_tokens - options.local_window) / options.chunk_size;
  sparse.num_outlier_chunks = std::min(options.outlier_chunks, sparse.num_chunks);
  const int64_t candidates = sparse.num_chunks - sparse.num_outlier_chunks;
  // With nothing to select from, everything is exact and attended: that is dense.
  if (candidates == 0) return dense;
  sparse.num_selected_chunks = std::min(budget_chunks(options), candidates);
  const int64_t slots = options.slots > 0 ? options.slots : 2 * sparse.num_selected_chunks;
  sparse.num_slots = std::clamp(slots, sparse.num_selected_chunks, candidates);
  sparse.values_on_host = options.values == ValuePlacement::host;
  return sparse;
}

}  // namespace gnomon
