#pragma once
#include <span>

#include "cpu/cpu_backend.h"

namespace gnomon::cpu {

/// One decode step of one layer for a batch (Backend::decode_attention; ShadowKV paper,
/// algorithm 2). query and out (n, num_heads * head_dim), key and value (n, key_width); every
/// cache is a CpuCache. What a sequence gets does not depend on the batch or on the number of
/// threads, bit for bit.
void decode_attention(Context& context, int64_t layer, Matrix query, Matrix key, Matrix value,
                      std::span<SequenceCache* const> caches, Matrix out);

}  // namespace gnomon::cpu
