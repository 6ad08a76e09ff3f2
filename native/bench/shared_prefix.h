#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/measurement.h"
#include "engine/model.h"

namespace gnomon {

/// Prompts that are the same but for what is asked at their end.
struct SharedPrefix {
  int64_t questions = 1;
  int64_t question_tokens = 64;
};

/// Times their prefill, each alone and then all together, for prompts of
/// `measurement.prompt_tokens` with its cache. Throws out_of_memory, before any work, for more than
/// fit at once.
nlohmann::json measure_shared_prefix(Model& model, const std::vector<uint32_t>& text,
                                     const Measurement& measurement, const SharedPrefix& shared);

}  // namespace gnomon
