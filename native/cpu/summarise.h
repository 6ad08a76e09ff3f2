#pragma once
#include "cpu/cpu_backend.h"
#include "cpu/sequence_cache.h"

namespace gnomon::cpu {

/// Ends the prefill of one layer (Backend::summarise; ShadowKV paper, algorithm 1).
/// key_pre_rope, key and value are (prompt_tokens, key_width); key_pre_rope is not read for a
/// dense cache.
void summarise(Context& context, int64_t layer, Matrix key_pre_rope, Matrix key, Matrix value,
               CpuCache& cache);

}  // namespace gnomon::cpu
