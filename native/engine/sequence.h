#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "engine/penalties.h"

namespace gnomon {

using Clock = std::chrono::steady_clock;

inline double milliseconds(Clock::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

/// One request on its way: waiting → prefill → decoding → finished.
struct Sequence {
  uint64_t id = 0;
  GenerateRequest request;
  RequestCallbacks callbacks;

  CacheGeometry geometry;
  CacheBytes cache_bytes;
  CacheBytes cache_full_bytes;

  std::unique_ptr<SequenceCache> cache;
  std::vector<uint32_t> generated;
  std::optional<Penalties> penalties;
  std::vector<TokenLogprobs> logprobs;  // of `generated`, if asked for

  Progress::Phase phase = Progress::Phase::prefill;
  int64_t prefilled = 0;      // prompt tokens, as reported: never goes back
  int64_t cached_tokens = 0;  // prompt tokens that another's prefill computed

  Clock::time_point submitted;
  Clock::time_point prefill_started;
  Clock::time_point decode_started;

  int64_t prompt_tokens() const { return static_cast<int64_t>(request.tokens.size()); }
  /// Position of the last generated token, which the next decode step feeds.
  int32_t next_position() const {
    return static_cast<int32_t>(geometry.first_position + prompt_tokens() + generated.size() - 1);
  }
};

}  // namespace gnomon
