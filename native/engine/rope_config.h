#pragma once
#include "engine/architecture.h"
#include "engine/config.h"
#include "engine/json.h"

namespace gnomon {

/// RoPE of a config.json in the form of Transformers 4 or 5, or of ChatGLM's own. `config` has its
/// sizes; max_position_embeddings is raised where YaRN extends it.
void read_rope(const JsonFields& fields, const Architecture& architecture, ModelConfig& config);

}  // namespace gnomon
