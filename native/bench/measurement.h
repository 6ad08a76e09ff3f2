#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/model.h"

namespace gnomon {

/// What is timed: prompts of one length in one kind of cache.
struct Measurement {
  std::string cache_name;
  CacheOptions cache;
  int64_t prompt_tokens = 0;
  /// Sequences that decode at once; kLargest: as many as memory takes.
  std::vector<int64_t> batches;
  /// Hit rates that the decode queries are steered to; empty: the model's own.
  std::vector<double> hit_rates;
  /// Sequences really prefilled; the others of a batch are copies. 0: all.
  int64_t prefills = 0;
  int64_t steps = 64;
  /// How decoded tokens are picked; each sequence has a seed of its own.
  SamplingOptions sampling;

  static constexpr int64_t kLargest = 0;
};

/// Appends a JSON object for every batch and hit rate. Prompts are windows of `text`. Progress and
/// a table go to stderr. Throws out_of_memory, before any work, for a batch that does not fit.
void measure(Model& model, const std::vector<uint32_t>& text, const Measurement& measurement,
             nlohmann::json& rows);

}  // namespace gnomon
