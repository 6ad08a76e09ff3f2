#pragma once
// The engine: one thread that owns a model and a backend, and batches requests continuously.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/backend.h"
#include "engine/cache_geometry.h"
#include "engine/error.h"
#include "engine/weights.h"

namespace gnomon {

struct EngineOptions {
  std::string model_dir;
  std::string device = "cpu";  // "cpu" or "cuda"
  CacheOptions cache;
  BackendOptions backend;
  int64_t max_batch = 64;              // sequences decoding at once
  LoadProgress on_load_progress = {};  // engine thread
};

/// temperature 0 is greedy. top_k 0, top_p 1 and min_p 0 are off, and so are the penalties as they
/// are here.
struct SamplingOptions {
  double temperature = 0.0;
  double top_p = 1.0;
  int64_t top_k = 0;
  uint64_t seed = 0;
  double min_p = 0.0;               // least probability, as a share of the likeliest token's
  double repetition_penalty = 1.0;  // divides the logits of tokens of prompt and answer
  double presence_penalty = 0.0;    // taken from the logits of tokens of the answer, once
  double frequency_penalty = 0.0;   // likewise, for every time a token occurs
};

/// Of one generated token, out of the model's own distribution: no temperature, no penalty.
struct TokenLogprobs {
  struct Alternative {
    uint32_t token;
    float logprob;
  };
  float logprob = 0;
  std::vector<Alternative> top;  // the likeliest tokens, in descending order
};

struct GenerateRequest {
  std::vector<uint32_t> tokens;
  int64_t max_new_tokens = 0;
  SamplingOptions sampling;
  std::vector<uint32_t> stop_token_ids;  // besides the model's own end-of-sequence ids
  bool ignore_eos = false;
  int64_t top_logprobs = -1;  // alternatives to report for each token; -1: no logprobs at all
  std::string reuse_scope{};  // only prompts of one scope share the prefill of how they begin
};

struct Progress {
  enum class Phase { prefill, decode };
  Phase phase = Phase::prefill;
  int64_t prefill_tokens = 0;  // of the prompt, weighted by the work done
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
};

struct GenerateResult {
  std::vector<uint32_t> tokens;  // the stop token is not among them
  std::string finish_reason;     // "stop" or "length"
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, computed once for this and other requests
  double queue_ms = 0;        // submitted until prefill began
  double prefill_ms = 0;  // its group began until first token, decode steps of others in between
  double decode_ms = 0;   // first token until last
  CacheBytes cache;       // of this sequence
  CacheBytes cache_full;  // what full attention would have taken for it
  double hit_rate = 0;    // 0 where nothing was selected
  std::vector<TokenLogprobs> logprobs;  // of each token, if asked for
};

/// Called on the engine thread, in order; must return quickly. Exactly one of on_done and on_error
/// is called, last.
struct RequestCallbacks {
  std::function<void(const Progress&)> on_progress;
  std::function<void(std::span<const uint32_t>)> on_tokens;
  std::function<void(GenerateResult)> on_done;
  std::function<void(EngineError)> on_error;
};

/// What a request would take, before it is submitted.
struct Plan {
  CacheBytes cache;             // bytes of its KV state
  CacheBytes cache_full;        // the same with full attention
  int64_t workspace_bytes = 0;  // during its prefill
  bool fits = false;            // an empty engine could run it
  bool fits_now = false;        // it would be admitted at once beside what is running
  std::string reason;           // why not, empty if it fits
};

struct EngineStats {
  int64_t waiting = 0;
  int64_t prefilling = 0;
  int64_t decoding = 0;
  CacheBytes used;
  CacheBytes capacity;
  int64_t prefilled_tokens = 0;  // since load
  int64_t cached_tokens = 0;     // prompt tokens that were not prefilled, as others began with them
  int64_t decoded_tokens = 0;
  double prefill_seconds = 0;  // engine time spent
  double decode_seconds = 0;
  double hit_rate = 0;  // of sequences that finished
};

struct ModelInfo {
  ModelConfig config;
  int64_t weight_bytes = 0;
};

class Engine {
 public:
  /// Loads the model on the calling thread, then starts the engine thread.
  static std::unique_ptr<Engine> load(const EngineOptions& options);

  /// Any thread. Cancels everything, waits for the engine thread.
  ~Engine();

  /// Any thread. Returns an id for `cancel`. Errors of the request reach on_error, never throw.
  uint64_t submit(GenerateRequest request, RequestCallbacks callbacks);
  /// Any thread. Takes effect within one engine step; an unknown id is ignored.
  void cancel(uint64_t id);
  /// Any thread. Ends a request that is generating as a stop token would: on_done gets what there
  /// is. Any other is ignored.
  void finish(uint64_t id);
  /// Any thread. Running and waiting requests end with `closed`; later ones too. Returns at once;
  /// on_closed is called on the engine thread when it is idle for good.
  void close(std::function<void()> on_closed);

  Plan plan(int64_t prompt_tokens, int64_t max_new_tokens) const;
  EngineStats stats() const;
  const ModelInfo& model() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gnomon
