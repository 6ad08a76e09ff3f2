#pragma once
#include <string>

#include "engine/config.h"

namespace gnomon {

/// Names of a checkpoint's tensors, without ".weight" and ".bias". Where the file holds the fused
/// tensor, the parts are not looked for.
struct WeightNames {
  std::string embedding, layers, final_norm, lm_head;  // layers: before the layer's number
  std::string input_norm, post_norm;                   // these and below: after it
  std::string fused_qkv, query, key, value, output, query_norm, key_norm;
  std::string fused_gate_up, gate, up, down;
};

WeightNames weight_names(WeightNaming naming);

}  // namespace gnomon
