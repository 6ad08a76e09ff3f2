#pragma once
#include <string>

#include "engine/weights.h"

namespace gnomon {

/// The configuration of a known shape ("llama-3.1-8b"). Throws invalid_options.
ModelConfig config_of_shape(const std::string& shape);

/// Random bf16 weights, the same in every layer.
ModelWeights random_weights(const ModelConfig& config, Backend& backend);

}  // namespace gnomon
