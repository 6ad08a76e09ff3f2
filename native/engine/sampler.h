#pragma once
#include <cstdint>
#include <span>

#include "engine/engine.h"

namespace gnomon {

/// Picks the next token of one sequence from its logits (vocab_size). Greedy takes the first of
/// equal maxima. The result depends on (options, logits, step) alone: `step` is the number of
/// tokens generated before, and seeds the draw together with options.seed.
uint32_t sample(const SamplingOptions& options, std::span<const float> logits, int64_t step);

}  // namespace gnomon
