#pragma once
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/engine.h"

namespace gnomon {

/// Lowers the logits of tokens that one sequence has had already.
class Penalties {
 public:
  static bool needed(const SamplingOptions& options) {
    return options.repetition_penalty != 1 || options.presence_penalty != 0 ||
           options.frequency_penalty != 0;
  }

  Penalties(const SamplingOptions& options, std::span<const uint32_t> prompt);

  /// A token joins the answer.
  void add(uint32_t token);
  /// logits (vocab_size), in place.
  void apply(std::span<float> logits) const;

 private:
  SamplingOptions options_;
  std::vector<uint32_t> seen_;                       // every token of prompt and answer, once
  std::unordered_map<uint32_t, int64_t> generated_;  // times in the answer
};

}  // namespace gnomon
