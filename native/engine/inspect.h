#pragma once
#include <string>
#include <vector>

#include "engine/engine.h"

namespace gnomon {

/// The longest prompt that fits an empty engine, with room for `max_new_tokens` more.
struct Fit {
  int64_t prompt_tokens = 0;
  std::string limit;  // what one token more would exceed
  CacheBytes cache;   // of that prompt
};

struct Inspection {
  ModelInfo model;
  int64_t loaded_bytes = 0;   // of the weights in the backend's own form
  int64_t scratch_bytes = 0;  // of activations, whatever the prompt
  CacheBytes capacity;        // what the backend may use, before anything is loaded
  Fit shadowkv;
  Fit full;
};

/// What loading the model would find, without reading its weights: every tensor is looked up and
/// its shape checked. Throws as Engine::load.
Inspection inspect(const EngineOptions& options, int64_t max_new_tokens);

}  // namespace gnomon
