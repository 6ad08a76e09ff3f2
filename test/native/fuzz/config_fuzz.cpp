// Any bytes as config.json: a model, or an EngineError invalid_model.

#include <cstdlib>

#include "engine/config.h"
#include "engine/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto config =
        gnomon::parse_config(std::string_view(reinterpret_cast<const char*>(data), size));
    for (const auto context : {gnomon::RopeContext::full, gnomon::RopeContext::original}) {
      if (gnomon::inverse_frequencies(config.rope, config.head_dim, context).size() !=
          static_cast<size_t>(config.head_dim / 2)) {
        std::abort();
      }
    }
    gnomon::rotation_scales(config.rope, config.head_dim);
    gnomon::first_position(config, config.max_position_embeddings);
  } catch (const gnomon::EngineError& error) {
    if (error.code != "invalid_model") std::abort();
  }
  return 0;
}
