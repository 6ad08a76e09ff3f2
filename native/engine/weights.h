#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "engine/backend.h"
#include "engine/config.h"

namespace gnomon {

/// One transformer layer. Linear weights are (out, in).
struct LayerWeights {
  std::unique_ptr<Weight> input_norm;  // (hidden)
  std::unique_ptr<Weight> qkv;         // (query_width + 2 key_width, hidden): query, key, value
  std::unique_ptr<Weight> query_norm;  // (head_dim), null without QK-norm; so is the next
  std::unique_ptr<Weight> key_norm;    // (head_dim)
  std::unique_ptr<Weight> output;      // (hidden, query_width)
  std::unique_ptr<Weight> post_norm;   // (hidden)
  std::unique_ptr<Weight> gate_up;     // (2 intermediate, hidden): gate, up
  std::unique_ptr<Weight> down;        // (hidden, intermediate)
};

struct ModelWeights {
  std::unique_ptr<Weight> embedding;  // (vocab, hidden)
  std::vector<LayerWeights> layers;
  std::unique_ptr<Weight> final_norm;  // (hidden)
  std::unique_ptr<Weight> lm_head;     // (vocab, hidden)
  int64_t bytes = 0;  // of these tensors in the model's files; a tied embedding counts once
};

/// Bytes of the model's files that a store has been given, out of how many.
using LoadProgress = std::function<void(int64_t bytes, int64_t total_bytes)>;

/// Loads a checkpoint into a store, query and key heads in the order of inverse_frequencies.
/// Throws EngineError invalid_model naming the tensor that is missing, damaged or of an unexpected
/// shape.
ModelWeights load_weights(const ModelConfig& config, const std::filesystem::path& model_dir,
                          WeightStore& store, const LoadProgress& on_progress = {});

}  // namespace gnomon
