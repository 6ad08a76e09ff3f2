#pragma once
#include <span>

#include "cpu/cpu_backend.h"

namespace gnomon::cpu {

/// Backend::split_and_rotate.
void split_and_rotate(Context& context, Matrix qkv, std::span<const int32_t> positions,
                      Matrix query, Matrix key_pre_rope, Matrix key, Matrix value);

}  // namespace gnomon::cpu
