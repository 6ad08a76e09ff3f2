#pragma once
// What the name of an architecture says that its config.json does not.

#include <span>

#include "engine/config.h"
#include "engine/json.h"

namespace gnomon {

enum class Bias { never, always, as_configured };  // the last: by `attention_bias`

struct Architecture {
  const char* name;        // in `architectures`
  const char* model_type;  // in `model_type`
  Bias qkv_bias;
  Bias output_bias;
  bool qk_norm = false;
  bool window_by_default = true;  // whether `sliding_window` counts without `use_sliding_window`
  double partial_rotary_factor = 1.0;  // where the file does not say
  bool interleaved_rope = false;
  int64_t head_dim = 0;  // where the file does not say; 0: hidden_size / num_heads
  WeightNaming naming = WeightNaming::transformers;
};

std::span<const Architecture> architectures();

/// The one that `architectures` names. Throws invalid_model, listing those there are.
const Architecture& find_architecture(const JsonFields& fields);

}  // namespace gnomon
